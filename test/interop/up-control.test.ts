import assert from "node:assert/strict";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { FullTunnelNetwork } from "./full-tunnel.ts";
import { difference, type ManagedHost } from "./managed-host.ts";
import { within } from "./patience.ts";

const split = { allowedIps: "10.8.0.0/24, fd08::/64" };
/** A hook that says that it runs, and goes on when it is told to. */
const waitingHook = "touch /etc/wireguard/begun; while [ ! -e /etc/wireguard/go ]; do sleep 0.05; done";

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) &&
    requireProgram(t, "nft", "nftables") !== undefined &&
    requireProgram(t, "wg", "wireguard-tools") !== undefined
  );
}

function quoted(command: readonly string[]): string {
  return command.map((word) => `'${word}'`).join(" ");
}

async function mark(host: ManagedHost): Promise<string> {
  return (await host.start(["wg", "show", "wg0", "fwmark"]).outcome).stdout.trim();
}

async function appears(host: ManagedHost, file: string): Promise<void> {
  const look = async () => {
    while (!existsSync(host.path(file))) await sleep(10);
  };
  await within(30_000, () => `${file} to appear`, look());
}

function socketIn(host: ManagedHost): string {
  return host.path("run/wireguard/wg0.sock");
}

describe("warren down and reload speak to the tunnel", { concurrency: 2, timeout: 240_000 }, () => {
  test("one in the foreground of a terminal is reloaded, and not ended by a signal", async (t) => {
    if (!isReady(t) || requireProgram(t, "script", "bsdutils") === undefined) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(split));
    const command = quoted(host.command("up", "wg0", "--foreground", "--json"));
    const program = host.start(["script", "--quiet", "--return", "--flush", "--command", command, "/dev/null"]);
    await program.line(/"event":"ready"/);
    host.configure("wg0", network.file({ ...split, more: "FwMark = 77" }));
    assert.deepEqual(await host.warren("reload", "wg0"), { code: 0, signal: null, stdout: "", stderr: "" });
    assert.equal(await mark(host), "0x4d");
    rmSync(socketIn(host));
    const { code, stderr } = await host.warren("reload", "wg0");
    assert.deepEqual(
      [code, /does not answer on its control socket, and a signal would end it/.test(stderr)],
      [1, true],
    );
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.equal((await program.outcome).code, 0);
  });

  test("one in another PID namespace, whose process has another number here", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const before = await host.state();
    host.configure("wg0", network.file(split));
    const apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const program = host.start([...apart, ...host.command("up", "wg0", "--foreground", "--json")]);
    await program.line(/"event":"ready"/);
    assert.equal((await host.warren("reload", "wg0")).code, 0);
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.equal((await program.outcome).code, 0);
    assert.deepEqual(difference(before, await host.state()), {});
  });

  test("one without a socket is ended by a signal", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(split));
    const program = await host.up("wg0");
    rmSync(socketIn(host));
    host.configure("wg0", network.file({ ...split, more: "FwMark = 77" }));
    assert.equal((await host.warren("reload", "wg0")).code, 0);
    assert.match((await host.machine.run("ip", "-o", "link", "show", "wg0")).trim(), /wg0/);
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.equal((await program.outcome).code, 0);
    assert.deepEqual(host.notes(), []);
  });

  test("one of the same name in another network is left alone", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(split));
    const program = await host.up("wg0");
    for (const command of ["down", "reload"]) {
      const { code, stderr } = await host.start(["unshare", "--net", ...host.command(command, "wg0")]).outcome;
      assert.deepEqual([code, /^warren: wg0 is not up: /.test(stderr)], [1, true], stderr);
    }
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.equal((await program.outcome).code, 0);
  });

  for (const dies of [true, false]) {
    test(`two that end one tunnel, ${dies ? "which was killed" : "which is alive"}, do it once`, async (t) => {
      if (!isReady(t)) return;
      using network = new FullTunnelNetwork();
      const { host } = network;
      const before = await host.state();
      const more = `PreDown = ${waitingHook}\nPostDown = echo once >> /etc/wireguard/after`;
      host.configure("wg0", network.file({ more }));
      const program = await host.up("wg0");
      if (dies) program.kill("SIGKILL");
      if (dies) await program.outcome;
      const first = host.start(host.command("down", "wg0"));
      await appears(host, "etc/wireguard/begun");
      if (!dies) rmSync(socketIn(host)); // so that only the journal says who is at it
      const second = host.start(host.command("down", "wg0"));
      const { code, stderr } = await host.warren("reload", "wg0");
      assert.deepEqual([code, /^warren: wg0 is not up: /.test(stderr)], [1, true], stderr);
      host.write("etc/wireguard/go", "");
      assert.equal((await first.outcome).code, 0);
      const late = await second.outcome; // it has waited, or it has come when all was done
      assert.match(`${late.code} ${late.stderr}`, /^(0 $|1 warren: wg0 is not up: )/);
      assert.equal(host.read("etc/wireguard/after"), "once\n");
      if (!dies) assert.equal((await program.outcome).code, 0);
      assert.deepEqual(difference(before, await host.state()), {});
      assert.deepEqual(host.notes(), []);
    });
  }

  test("down says what could not be undone, and undoes the rest", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const before = await host.state();
    host.configure("wg0", network.file({ more: "PostDown = exit 7" }));
    const up = await host.warren("up", "wg0");
    assert.deepEqual([up.code, up.stderr], [0, ""]);
    const { code, stderr } = await host.warren("down", "wg0");
    assert.equal(code, 1);
    assert.match(stderr, /^warren: wg0: the PostDown command "exit 7" ended with 7: see what it printed/);
    assert.deepEqual(difference(before, await host.state()), {});
    assert.deepEqual([host.notes(), readdirSync(host.path("run/wireguard"))], [[], []]);
  });
});

describe("warren up whose hooks meddle", { concurrency: 2, timeout: 240_000 }, () => {
  test("a reload while it comes up is told so at once", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const reload = `${quoted(host.command("reload", "wg0"))} || true`;
    host.configure("wg0", network.file({ ...split, more: `PreUp = ${reload}\nPostUp = ${reload}` }));
    const begun = performance.now();
    const { code, stderr } = await host.warren("up", "wg0");
    assert.equal(code, 0, stderr);
    assert.ok(performance.now() - begun < 20_000, "it waited for an answer");
    assert.match(stderr, /^warren: wg0 is still coming up: reload it when `warren up` has returned$/m);
    assert.match(stderr, /^warren: wg0: still coming up: reload it when `warren up` has returned$/m);
    assert.equal((await host.warren("down", "wg0")).code, 0);
  });

  test("an interface that is deleted meanwhile is a failure, and undone", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const before = await host.state();
    host.configure("wg0", network.file({ more: "PostUp = ip link del %i; sleep 0.3" }));
    const { code, stdout, stderr } = await host.warren("up", "wg0");
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /the device was deleted/);
    assert.deepEqual(difference(before, await host.state()), {});
    assert.deepEqual(host.notes(), []);
  });

  test("a kill switch that stays is spoken of once", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file({}));
    const program = await host.up("wg0", "--kill-switch");
    program.kill("SIGKILL");
    await program.outcome;
    host.configure("wg0", network.file({ more: "PostUp = false" }));
    const { code, stderr } = await host.warren("up", "wg0", "--kill-switch");
    assert.equal(code, 1);
    assert.equal(stderr.match(/the kill switch of wg0 stays/g)?.length, 1, stderr);
    assert.equal((await host.warren("down", "wg0")).code, 0);
  });
});
