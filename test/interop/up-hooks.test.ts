import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, statSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { PrivateKey } from "../../src/base/keys.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { FullTunnelNetwork } from "./full-tunnel.ts";
import { difference } from "./managed-host.ts";
import { publicKeyOf } from "./tunnel-pair.ts";

const noted = "/etc/wireguard/noted";
const hooks = [
  `PreUp = echo before %i >> ${noted}`,
  `PostUp = ip -br address show %i >> ${noted}`,
  `PostUp = echo up %i >> ${noted}; echo to whoever looks`,
  `PreDown = wg show %i public-key >> ${noted}`,
  `PostDown = ip link show %i || echo after %i >> ${noted}`,
].join("\n");

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) &&
    requireProgram(t, "nft", "nftables") !== undefined &&
    requireProgram(t, "wg", "wireguard-tools") !== undefined
  );
}

describe("hooks", { concurrency: 2, timeout: 240_000 }, () => {
  test("are run in order, with the interface's name, and may speak to the tunnel", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file({ more: hooks }));
    const program = await host.up("wg0");
    assert.equal((await host.warren("down", "wg0")).code, 0);
    const { code, stdout, stderr } = await program.outcome;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^to whoever looks$/m);
    assert.doesNotMatch(stdout, /whoever/, "standard output is for JSON");
    const lines = host.read(noted.slice(1)).trim().split("\n");
    assert.match(lines[1], /^wg0 .*10\.8\.0\.1\/24 fd08::1\/64/);
    assert.match(lines[3], /^[A-Za-z0-9+/]{43}=$/);
    assert.deepEqual([lines[0], lines[2], lines[4], lines.length], ["before wg0", "up wg0", "after wg0", 5]);
  });

  test("are run by down, where the tunnel was killed", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file({ more: hooks }));
    const program = await host.up("wg0");
    program.kill("SIGKILL");
    await program.outcome;
    const { code, stderr } = await host.warren("down", "wg0");
    assert.equal(code, 0);
    assert.match(stderr, /the PreDown command "wg show .* ended with 1/, "said, and no obstacle");
    assert.match(host.read(noted.slice(1)), /^after wg0$/m);
  });

  for (const stage of ["PreUp", "PostUp"]) {
    test(`a ${stage} that fails undoes everything`, async (t) => {
      if (!isReady(t)) return;
      using network = new FullTunnelNetwork();
      const { host } = network;
      const more = `${stage} = touch ${noted}\n${stage} = false %i\n${stage} = echo >> ${noted}\nPostDown = rm ${noted}`;
      host.configure("wg0", network.file({ more, dns: "10.8.0.2" }));
      const before = await host.state();
      const { code, stderr } = await host.warren("up", "wg0", "--forward", "--kill-switch");
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(`^warren: the ${stage} command "false wg0" ended with 1: see what it printed`, "m"),
      );
      assert.deepEqual(difference(before, await host.state()), {});
      assert.equal(existsSync(host.path(noted)), false, "what the first one did is undone by PostDown");
      assert.deepEqual(host.notes(), []);
    });
  }

  test("are taken only from a file that nobody else may write, and from no other source", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const text = network.file({ more: `PreUp = touch ${noted}` });
    host.configure("wg0", text);
    const file = host.path("etc/wireguard/wg0.conf");
    const refused = async (expected: RegExp, environment = {}) => {
      const { code, stderr } = await host.start(host.command("up", "wg0"), environment).outcome;
      assert.equal(code, 1);
      assert.match(stderr, expected);
    };
    chmodSync(file, 0o620);
    await refused(/wg0\.conf holds commands .*, and others than its owner or root may write it: chown root/);
    chmodSync(file, 0o600);
    await refused(/which WARREN_HOOKS=refuse forbids: .*drop-in/, { WARREN_HOOKS: "refuse" });
    if (mayGiveAway(file)) await refused(/others than its owner or root may write it/);
    const { code, stderr } = await host.machine.start(host.command("up", "-"), text).outcome;
    assert.deepEqual([code, /standard input holds commands/.test(stderr)], [1, true], stderr);
    assert.equal(existsSync(host.path(noted)), false);
  });
});

/** In a user namespace there may be nobody to give a file to. */
function mayGiveAway(file: string): boolean {
  try {
    chownSync(file, 12_345, 12_345);
    return true;
  } catch {
    return false;
  }
}

test("SaveConfig writes what the tunnel has become, which can be brought up again", { timeout: 240_000 }, async (t) => {
  if (!isReady(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  const more = "SaveConfig = true\nListenPort = 5001\nMTU = 1400\nPostUp = true %i # a comment";
  host.configure("wg0", network.file({ more, dns: "10.8.0.2, corp.example", allowedIps: "10.98.0.0/16" }), 0o644);
  await host.up("wg0");
  const key = publicKeyOf(new PrivateKey(new Uint8Array(32).fill(7)));
  const set = ["wg", "set", "wg0", "listen-port", "5003", "peer", String(key), "allowed-ips", "10.97.0.0/16"];
  assert.equal((await host.start([...set, "persistent-keepalive", "9"]).outcome).code, 0);
  await host.machine.run("ip", "address", "add", "10.8.5.1/24", "dev", "wg0");
  assert.equal((await host.warren("down", "wg0")).code, 0);
  const saved = host.read("etc/wireguard/wg0.conf");
  const head = saved.slice(0, saved.indexOf("PrivateKey"));
  assert.equal(
    head,
    "[Interface]\nAddress = 10.8.0.1/24\nAddress = 10.8.5.1/24\nAddress = fd08::1/64\nDNS = 10.8.0.2, corp.example\nMTU = 1400\nSaveConfig = true\nPostUp = true %i\nListenPort = 5003\n",
  );
  assert.match(
    saved,
    new RegExp(
      `PublicKey = ${String(key).replaceAll("+", "\\+")}\nAllowedIPs = 10.97.0.0/16\nPersistentKeepalive = 9\n`,
    ),
  );
  assert.match(saved, /AllowedIPs = 10\.98\.0\.0\/16\nEndpoint = 192\.0\.2\.2:5002\n/);
  assert.equal(statSync(host.path("etc/wireguard/wg0.conf")).mode & 0o777, 0o600);
  await host.up("wg0");
  const { stdout } = await host.start(["wg", "show", "wg0", "allowed-ips"]).outcome;
  assert.deepEqual(stdout.match(/10\.9[0-9]\.0\.0/g)?.sort(), ["10.97.0.0", "10.98.0.0"]);
});
