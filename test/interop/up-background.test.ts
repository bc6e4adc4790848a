import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { FullTunnelNetwork, world } from "./full-tunnel.ts";
import { difference } from "./managed-host.ts";
import { forwardingOf } from "./underlay.ts";

/** The aim is a second, on a machine that has nothing else to do; here others are at work, too. */
const patienceMs = 10_000;

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) &&
    requireProgram(t, "ping", "iputils-ping") !== undefined &&
    requireProgram(t, "nft", "nftables") !== undefined
  );
}

describe("warren up in the background", { timeout: 240_000 }, () => {
  test("returns when packets pass, from nothing to the first reply in a second", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    await network.serve();
    host.configure("wg0", network.file({ dns: "10.8.0.2" }));
    const before = await host.state();
    const took: number[] = [];
    for (let round = 0; round < 3; round++) {
      const begun = performance.now();
      const { code, stdout, stderr } = await host.warren("up", "wg0", "--kill-switch");
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      assert.match(
        stdout,
        /^wg0 is up on UDP port \d+, MTU 1420 .*: `warren down wg0` ends it\.$|`warren down wg0` ends it\.$/m,
      );
      await host.machine.run("ping", "-n", "-c", "1", "-W", "10", world[4]);
      took.push(Math.round(performance.now() - begun));
      const [journal] = host.notes().filter((file) => file.endsWith("wg0.journal"));
      const pid = /"pid":([0-9]+)/.exec(host.read(journal))?.[1];
      assert.match(readFileSync(`/proc/${pid}/cmdline`, "utf8"), /\0up\0wg0\0/, "somebody is left to run it");
      const down = await host.warren("down", "wg0");
      assert.deepEqual([down.code, down.stdout, down.stderr], [0, "", ""]);
      while (isAlive(pid)) await setImmediate(); // it is done with the host, and about to end
    }
    t.diagnostic(`from the command to the first reply: ${took.join(", ")} ms`);
    assert.ok(Math.min(...took) < patienceMs, `it took ${took.join(", ")} ms`);
    assert.deepEqual(difference(before, await host.state()), {});
  });

  test("needs no program but itself", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    await network.serve();
    host.configure("wg0", network.file({ dns: "10.8.0.2" }));
    const before = await host.state();
    const nothing = { PATH: "/nowhere" };
    const run = (...parameters: string[]) => host.start(host.command(...parameters), nothing).outcome;
    const up = await run("up", "wg0", "--forward", "--kill-switch");
    assert.deepEqual([up.code, up.stderr], [0, ""]);
    assert.equal(await network.reached(), 2);
    assert.equal((await run("reload", "wg0")).code, 0);
    assert.equal((await run("down", "wg0")).code, 0);
    assert.deepEqual(difference(before, await host.state()), {});
  });

  test("fails as in the foreground, with the words, the status and nothing done", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const before = { ...(await host.state()), forwarding: forwardingOf(host.machine) };
    const refused = async (text: string, expected: RegExp, mode?: number) => {
      host.configure("wg0", text, mode);
      const { code, stderr } = await host.warren("up", "wg0", "--forward");
      assert.equal(code, 1);
      assert.match(stderr, expected);
      assert.deepEqual(difference(before, { ...(await host.state()), forwarding: forwardingOf(host.machine) }), {});
      assert.deepEqual(host.notes(), []);
    };
    await refused(
      network.file({ addresses: "192.0.2.1/32" }),
      /^warren: the address 192\.0\.2\.1 is already on eth0: take/,
    );
    await refused(
      network.file({ more: "Table = nosuch" }),
      /^warren: .*line \d+: Table: there is no routing table called nosuch: give its/,
    );
    await refused(network.file({ allowedIps: "192.0.2.2/32" }), /the way to the endpoint 192\.0\.2\.2 would lead into/);
    await refused(
      `${network.file({})}x\ny = 1\n`,
      /^warren: \/etc\/wireguard\/wg0\.conf: 2 mistakes\n {2}line \d+: .*\n {2}line/,
    );
    const { code, stderr } = await host.warren("up", "wg9");
    assert.deepEqual(
      [code, /there is no \/etc\/wireguard\/wg9\.conf and no \/etc\/warren\/wg9\.conf/.test(stderr)],
      [1, true],
    );
  });

  test("reads what a shell hands it as a descriptor, and keeps none of it", async (t) => {
    if (!isReady(t) || requireProgram(t, "bash", "bash") === undefined) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    await network.serve();
    host.configure("wg0", network.file({}));
    const command = host.command("up", "--name", "wg0").map((word) => `'${word}'`);
    const script = `${command.join(" ")} <(cat /etc/wireguard/wg0.conf)`;
    const { code, stderr } = await host.start(["bash", "-c", script]).outcome;
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.equal(await network.reached(), 2);
    const [journal] = host.notes().filter((file) => file.endsWith("wg0.journal"));
    const pid = /"pid":([0-9]+)/.exec(host.read(journal))?.[1];
    assert.equal(readdirSync(`/proc/${pid}/fd`).includes("63"), false, "what it was read from is closed");
    const reload = await host.warren("reload", "wg0");
    assert.equal(reload.code, 1);
    assert.match(reload.stderr, /^warren: wg0: what it was configured from cannot be read again: bring it up from a/);
    assert.equal((await host.warren("down", "wg0")).code, 0);
  });

  test("says who may read the keys, and which allowed IPs two peers claim", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const other = "[Peer]\nPublicKey = AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\nAllowedIPs = 10.98.0.0/16\n";
    host.configure("wg0", network.file({ allowedIps: "10.98.0.0/16" }) + other, 0o644);
    const { code, stderr } = await host.warren("up", "wg0");
    assert.equal(code, 0);
    assert.match(stderr, /^warren: warning: \/etc\/wireguard\/wg0\.conf holds keys and others may read it: chmod 600/m);
    assert.match(
      stderr,
      /^warren: .*line \d+: this peer takes 10\.98\.0\.0\/16 from that of line \d+: the later one has it$/m,
    );
    assert.equal((await host.warren("down", "wg0")).code, 0);
  });
});

function isAlive(pid: string | undefined): boolean {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8")); // ended, and not yet asked for its status
  } catch {
    return false;
  }
}
