import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { FullTunnelNetwork } from "./full-tunnel.ts";

const timeout = 60_000;
const isReady = (t: TestContext) => requireNamespaces(t) && requireProgram(t, "unshare", "util-linux") !== undefined;

test("warren show tells what a tunnel has in force, and what one that was killed has left", { timeout }, async (t) => {
  if (!isReady(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  host.configure("wg0", network.file({ dns: "10.8.0.2" }));
  const up = await host.up("wg0", "--kill-switch-lan", "--forward");
  const text = (await host.warren("show", "wg0")).stdout;
  assert.match(text, /\n {2}kill switch: on, but for the local network\n/);
  assert.match(text, /\n {2}dns: through the tunnel \(\/etc\/resolv\.conf\)\n/);
  assert.match(text, /\n {2}forwarding: what peers send, behind this machine's addresses\n/);
  const [{ warren }] = JSON.parse((await host.warren("show", "--json")).stdout);
  const { killSwitch, dns, forwards } = warren;
  assert.deepEqual({ killSwitch, dns, forwards }, { killSwitch: "lan", dns: "/etc/resolv.conf", forwards: true });

  up.kill("SIGKILL");
  await up.outcome;
  const left =
    "warren: wg0 is not up: its process died; left are policy rules, resolvers (/etc/resolv.conf), kernel parameters: " +
    "`warren down wg0` undoes what is left; its kill switch is still in force\n";
  assert.deepEqual(await said("wg0"), { code: 1, stdout: "", stderr: left });
  assert.deepEqual(await said(), { code: 0, stdout: "", stderr: left });
  rmSync(host.path("run/wireguard/wg0.sock"));
  assert.deepEqual(await said(), { code: 0, stdout: "", stderr: left }, "without its socket, too");
  for (const journal of host.notes().filter((file) => file.endsWith(".journal"))) rmSync(host.path(journal));
  const shut =
    "warren: wg0 is not up: its process died: `warren down wg0` undoes what is left; its kill switch is still";
  assert.ok((await said("wg0")).stderr.startsWith(shut), "without its journal, too");
  assert.equal((await host.warren("down", "wg0")).code, 0);
  assert.equal((await said("wg0")).stderr, "warren: there is no tunnel wg0\n");

  async function said(...words: string[]) {
    const { code, stdout, stderr } = await host.warren("show", ...words);
    return { code, stdout, stderr };
  }
});
