import assert from "node:assert/strict";
import { appendFileSync, existsSync, rmSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { FullTunnelNetwork } from "./full-tunnel.ts";
import type { Program } from "./machine.ts";
import { difference, type ManagedHost } from "./managed-host.ts";

const patienceMs = 20_000;
const controlSocket = "run/wireguard/wg0.sock";
const touched = [
  "links",
  "addresses",
  "routes4",
  "routes6",
  "rules4",
  "rules6",
  "nftables",
  "sysctls",
  "resolvers",
  "state",
];

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) &&
    requireProgram(t, "nft", "nftables") !== undefined &&
    requireProgram(t, "ping", "iputils-ping") !== undefined &&
    requireProgram(t, "unshare", "util-linux") !== undefined
  );
}

/** Kills a tunnel that has just come up, which then has no chance to undo anything. */
async function killed(host: ManagedHost, ...parameters: string[]): Promise<void> {
  const program = await host.up("wg0", ...parameters);
  program.kill("SIGKILL");
  await program.outcome;
}

async function down(host: ManagedHost): Promise<void> {
  const { code, stderr } = await host.warren("down", "wg0");
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
}

interface Way {
  readonly title: string;
  readonly go: (host: ManagedHost, parameters: readonly string[], whileUp: () => Promise<void>) => Promise<void>;
}

const ways: readonly Way[] = [
  {
    title: "down",
    async go(host, parameters, whileUp) {
      const program = await host.up("wg0", ...parameters);
      await whileUp();
      await down(host);
      const { code, stderr } = await program.outcome;
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    },
  },
  {
    title: "SIGTERM",
    async go(host, parameters, whileUp) {
      const program = await host.up("wg0", ...parameters);
      await whileUp();
      program.kill("SIGTERM");
      const { code, stderr } = await program.outcome;
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    },
  },
  {
    title: "SIGKILL, then down",
    async go(host, parameters) {
      await killed(host, ...parameters);
      const left = await host.state();
      assert.notEqual(left.resolvers, "nameserver 203.0.113.53\nsearch example.org\n", "there is something to undo");
      assert.match(left.rules4, /not from all fwmark/);
      assert.equal(existsSync(host.path(controlSocket)), true);
      await down(host);
      assert.equal(existsSync(host.path(controlSocket)), false, "wg finds no tunnel that is gone");
    },
  },
  {
    title: "SIGKILL, up, then down",
    async go(host, parameters, whileUp) {
      const first = await host.up("wg0", ...parameters);
      const { rules4, rules6, resolvers } = await host.state();
      first.kill("SIGKILL");
      await first.outcome;
      const program = await host.up("wg0", ...parameters);
      await whileUp();
      assert.deepEqual(difference({ rules4, rules6, resolvers }, await host.state()), {}, "nothing is there twice");
      await down(host);
      assert.equal((await program.outcome).code, 0);
    },
  },
];

describe("warren up leaves no trace", { concurrency: 2, timeout: 240_000 }, () => {
  for (const { title, go } of ways) {
    test(title, async (t) => {
      if (!isReady(t)) return;
      using network = new FullTunnelNetwork();
      const { host } = network;
      await network.serve();
      host.configure("wg0", network.file({ dns: "10.8.0.2, fd08::2, corp.example" }));
      await host.machine.run("nft", "add", "table", "inet", "of-the-machine");
      const before = await host.state();
      await go(host, ["--forward", "--kill-switch"], async () => {
        const meanwhile = await host.state();
        assert.deepEqual(Object.keys(difference(before, meanwhile)), touched, "all is different meanwhile");
        assert.equal(
          meanwhile.resolvers.split("\n").slice(1).join(" "),
          "nameserver 10.8.0.2 nameserver fd08::2 search corp.example ",
        );
        assert.equal(await network.reached(), 2, "all goes through the tunnel");
      });
      assert.deepEqual(difference(before, await host.state()), {});
      assert.equal((await host.warren("down", "wg0")).code, 1, "there is nothing left to end");
    });
  }
});

test("a kill switch that a killed tunnel left stays, with what it let pass, until down opens it", async (t) => {
  if (!isReady(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  await network.serve();
  const before = await host.state();
  const table = async () => (await host.state()).nftables.replaceAll(/packets [0-9]+ bytes [0-9]+/g, "");
  host.configure("wg0", network.file({}));
  await killed(host, "--kill-switch-lan");
  const left = await table();
  assert.match(left, /warren-kill-switch-wg0[\s\S]*192\.168\.0\.0\/16/);
  host.configure("wg0", network.file({ more: "PostUp = false" }));
  for (const parameters of [["--kill-switch-lan"], []]) {
    const { code, stderr } = await host.warren("up", "wg0", ...parameters);
    assert.equal(code, 1);
    assert.match(stderr, /the kill switch of wg0 stays: `warren down wg0` opens it/);
    assert.equal(await table(), left);
  }
  host.configure("wg0", network.file({}));
  const program = await host.up("wg0");
  assert.match(await table(), /warren-kill-switch-wg0[\s\S]*192\.168\.0\.0\/16/);
  assert.equal(await network.reached(), 2, "it lets the new tunnel pass");
  await down(host);
  const { stderr } = await program.outcome;
  assert.equal(stderr.match(/the kill switch of wg0 stays: `warren down wg0` opens it/g)?.length, 1);
  assert.deepEqual(difference(before, await host.state()), {});
});

test("down opens a kill switch of which all notes are lost, and up goes on with it", async (t) => {
  if (!isReady(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  const before = await host.state();
  host.configure("wg0", network.file({ allowedIps: "10.98.0.0/16" }));
  await killed(host, "--kill-switch");
  const lose = () => rmSync(host.path("run/warren"), { recursive: true });
  lose();
  const program = await host.up("wg0");
  assert.match((await host.state()).nftables, /warren-kill-switch-wg0/);
  program.kill("SIGKILL");
  await program.outcome;
  lose();
  await down(host);
  assert.deepEqual(difference(before, await host.state()), {});
});

test("down undoes what it knows of a journal and of claims that were spoilt, and names them", async (t) => {
  if (!isReady(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  host.configure("wg0", network.file({ dns: "10.8.0.2" }));
  const before = await host.state();
  await killed(host, "--kill-switch");
  const [journal] = host.notes().filter((file) => file.endsWith("wg0.journal"));
  appendFileSync(host.path(journal), "null\n");
  host.write("run/warren/parameters.json", '{"net-1');
  const { code, stderr } = await host.warren("down", "wg0");
  assert.equal(code, 1);
  assert.match(stderr, /parameters\.json cannot be read .*: remove it/);
  assert.match(stderr, /wg0\.journal says something that this release does not know: null: /);
  assert.deepEqual(Object.keys(difference(before, await host.state())), ["sysctls"]);
  for (const file of [journal, "run/warren/parameters.json"]) rmSync(host.path(file));
  assert.equal((await host.warren("down", "wg0")).code, 1, "there is nothing left");
});

for (const [what, act] of [
  ["a failure", (host: ManagedHost) => void host.machine.config.links.delete(host.machine.indexOf("wg0"))],
  ["a crash", (_host: ManagedHost, program: Program) => program.kill("SIGUSR2")],
] as const) {
  test(`${what} undoes everything but the kill switch`, async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const before = await host.state();
    host.configure("wg0", network.file({ dns: "10.8.0.2" }));
    const fault = new URL("./fault.ts?in=main", import.meta.url).href;
    const [node, ...rest] = host.command("up", "wg0", "--foreground", "--json", "--forward", "--kill-switch");
    const program = host.start([node, "--import", fault, ...rest]);
    await program.line(/"event":"ready"/);
    act(host, program);
    assert.equal((await program.outcome).code, 1);
    assert.deepEqual(Object.keys(difference(before, await host.state())), ["nftables"]);
    await down(host);
    assert.deepEqual(difference(before, await host.state()), {});
  });
}

test("what a killed tunnel left and the next one does not want is undone when that comes up", async (t) => {
  if (!isReady(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  const { rules4, rules6, resolvers, sysctls } = await host.state();
  host.configure("wg0", network.file({ dns: "10.8.0.2", more: "PostDown = touch /etc/undone" }));
  await killed(host, "--forward");
  host.configure("wg0", network.file({ allowedIps: "10.98.0.0/16" }));
  await host.up("wg0");
  const now = await host.state();
  const others = now.sysctls.split("\n").filter((line) => !line.includes("/wg0/")); // those of the interface itself
  const left = { rules4, rules6, resolvers, sysctls };
  assert.deepEqual(difference(left, { ...now, sysctls: others.join("\n") }), {});
  assert.equal(host.read("etc/undone"), "");
  await down(host);
});

test("killed at any point while it comes up, it leaves nothing that down does not undo", async (t) => {
  if (!isReady(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  host.configure("wg0", network.file({ dns: "10.8.0.2" }));
  const before = await host.state();
  for (const lines of [2, 4, 7, 10]) {
    const program = host.start(host.command("up", "wg0", "--foreground", "--forward", "--kill-switch"));
    const begun = performance.now();
    while (linesNoted(host) < lines) {
      assert.ok(performance.now() - begun < patienceMs, `${lines} lines were not written`);
      await setImmediate();
    }
    program.kill("SIGKILL");
    await program.outcome;
    await down(host);
    assert.deepEqual(difference(before, await host.state()), {}, `killed after ${lines} lines`);
  }
});

function linesNoted(host: ManagedHost): number {
  const [journal] = host.notes().filter((file) => file.endsWith("wg0.journal"));
  return journal === undefined ? 0 : host.read(journal).trim().split("\n").length;
}
