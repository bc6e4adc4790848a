/**
 * The lab as a user meets it: the whole command as a process, on this machine. Each run carries a mark in its environment,
 * which its children inherit, so that whatever is left of it can be found.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Network } from "../../src/lab/network.ts";
import type { FrameSteps, LabRecord } from "../../src/lab/record.ts";
import type { WireguardBreakage, WireguardSteps } from "../../src/lab/stages/wireguard-record.ts";
import { topology } from "../../src/lab/topology.ts";
import { InterfaceConfig } from "../../src/os/interface-config.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { requireNamespaces, requireProgram, requireThat } from "../requirements.ts";
import {
  asNobody,
  canBeNobody,
  canUnshare,
  detailsOf,
  lab,
  main,
  namespaceOf,
  processesMarked,
} from "./lab-process.ts";
import { slowdown } from "./patience.ts";

const timeout = 300_000; // for all of them, on one slow CPU

const skip = process.env.WARREN_REQUIRE_PEERS !== "1" && !canUnshare() && "namespaces cannot be made here";

describe("warren lab", { concurrency: 2, timeout, skip }, () => {
  test("every step is verified, by root and by an ordinary user at the same time", async (t) => {
    const before = machineState();
    const runs = [lab(["--json"])];
    if (canBeNobody(t)) runs.push(lab(["--json"], { prefix: asNobody }));
    for (const [i, run] of runs.entries()) {
      const { status, output, errors } = await run.ended;
      assert.deepEqual({ status, errors }, { status: 0, errors: "" });
      checkRecord(JSON.parse(output), i === 0 && isRoot() ? "root" : "user");
    }
    assert.deepEqual(machineState(), before, "the machine's own network is as it was");
  });

  test("where no ping is installed the built-in one serves", async (t) => {
    const unshare = requireProgram(t, "unshare", "util-linux");
    if (unshare === undefined) return;
    const folder = mkdtempSync(join(tmpdir(), "warren-lab-"));
    try {
      symlinkSync(unshare, join(folder, "unshare"));
      const { status, output } = await lab([], { env: { PATH: folder } }).ended;
      assert.equal(status, 0);
      assert.match(output, /✓ ping .*: built-in ping\n.*64 bytes from 8\.8\.8\.8: icmp_seq=1 /);
      assert.match(output, /Every step was verified/);
      assert(!output.includes("\u001b"), "no colours in a pipe");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("no host waits for duplicate address detection before it can speak", (t) => {
    if (!requireNamespaces(t)) return;
    using network = new Network(topology);
    for (const { host: name, device } of topology.links.flat()) {
      const host = network.host(name);
      const detects = ["all", device].map((scope) => host.getSysctl(`net/ipv6/conf/${scope}/accept_dad`));
      assert.deepEqual(detects, ["0", "0"], `${device} of ${name}`);
    }
  });

  const broken: Record<WireguardBreakage, { step: string; seen: RegExp }> = {
    nat: { step: "nat", seen: /came from 10\.8\.0\.2/ },
    route: { step: "route", seen: /by eth0/ },
    key: { step: "handshake", seen: /0 response/ },
    dns: { step: "dns", seen: /ETIMEOUT/ },
    forward: { step: "forward", seen: /[123] came out of the tunnel on its wg0 and none reached the dns host's eth0/ },
  };
  for (const [part, { step, seen }] of Object.entries(broken)) {
    test(`--break ${part} makes the step ${step} fail`, async () => {
      const { status, output, errors } = await lab(["--json", "--break", part]).ended;
      assert.equal(status, 1);
      assert.match(errors, new RegExp(`^warren: the lab's step ${step} failed: expected .*, but .*\\n$`));
      const record: LabRecord = JSON.parse(output);
      assert.deepEqual([record.ok, record.broken], [false, part]);
      const failed = record.steps.filter(({ ok }) => !ok);
      assert.deepEqual(
        failed.map(({ name }) => name),
        [step],
      );
      assert.match(failed[0]?.ok === false ? failed[0].seen : "", seen);
    });
  }

  for (const { signal, status, after, processes } of [
    { signal: "SIGINT", status: 130, after: "✓ handshake", processes: 4 },
    { signal: "SIGTERM", status: 143, after: "✓ topology", processes: 2 },
  ] as const) {
    test(`${signal} ends all of it within a second, with status ${status} and no false finding`, async () => {
      const run = lab([]);
      await run.says(after);
      assert(processesMarked(run.mark).length >= processes, "the outer lab, the inner one and its tunnels");
      const mostMs = 1000 * slowdown();
      const start = performance.now();
      run.child.kill(signal);
      const end = await run.ended;
      assert.deepEqual([end.status, end.errors], [status, "warren: interrupted\n"]);
      assert(!end.output.includes("✗"), end.output);
      await run.gone();
      const elapsedMs = performance.now() - start;
      assert(elapsedMs < mostMs, `it took ${elapsedMs} ms, not ${mostMs}`);
    });
  }

  test("a reader who has seen enough ends all of it, without a word", async () => {
    const run = lab([]);
    await run.says("10.8.0.2, fd10:8::2"); // the end of what comes before the first step
    run.child.stdout?.destroy();
    const { status, errors } = await run.ended;
    assert.deepEqual({ status, errors }, { status: 1, errors: "" });
    await run.gone();
  });

  test("a full disk is one line and status 1", async (t) => {
    const full = openSync("/dev/full", "w");
    t.after(() => closeSync(full));
    for (const parameters of [[], ["--json"]]) {
      const { status, errors } = await lab(parameters, { output: full }).ended;
      assert.deepEqual([status, errors], [1, "warren: cannot write the output: no space left on device\n"]);
    }
  });

  test("a failure while programs still start is one line", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "warren-lab-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const deaf = '#!/bin/sh\nif [ "$1" = -V ]; then echo "ping from iputils 0"; fi\n';
    writeFileSync(join(folder, "ping"), deaf, { mode: 0o755 });
    const run = lab([], { env: { PATH: `${folder}:${process.env.PATH}` } });
    const { status, errors } = await run.ended;
    assert.equal(status, 1);
    assert.match(errors, /^warren: the lab's step direct failed: [^\n]+\n$/);
    await run.gone();
  });

  test("a terminal gets colours, unless it is dumb", async (t) => {
    if (requireProgram(t, "script", "bsdutils") === undefined) return;
    // Node takes a terminal for a log where CI is set.
    const prefix = ["sh", "-c", `unset CI; exec script -qec 'exec "$NODE" "$MAIN" lab' /dev/null`];
    for (const [TERM, colours] of [
      ["xterm", true],
      ["dumb", false],
    ] as const) {
      const run = lab([], { prefix, env: { TERM, NODE: process.execPath, MAIN: main } });
      await run.says("2001:4860:4860::8888");
      run.child.kill();
      assert.equal((await run.ended).output.includes("\u001b["), colours, TERM);
      await run.gone();
    }
  });

  test("a killed lab leaves no process and no namespace", async () => {
    const run = lab([]);
    await run.says("✓ handshake");
    const namespaces = new Set(processesMarked(run.mark).flatMap((pid) => namespaceOf(pid) ?? []));
    namespaces.delete(namespaceOf("self") ?? "");
    assert(namespaces.size >= 3, "the lab's own, the client's and the server's");
    run.child.kill("SIGKILL");
    await run.gone();
    const inhabited = () => readdirSync("/proc").filter((pid) => namespaces.has(namespaceOf(pid) ?? ""));
    const deadline = performance.now() + 5000;
    while (inhabited().length > 0 && performance.now() < deadline) await delay(10); // it loses its environment first
    assert.deepEqual(inhabited(), []);
    const mounts = readFileSync("/proc/self/mountinfo", "utf8");
    for (const namespace of namespaces) assert(!mounts.includes(`${namespace}`), "none is kept by a name");
  });

  test("where namespaces are forbidden, one line says what forbids them", async (t) => {
    const forbidden = `echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"`;
    const prefix = ["unshare", "--user", "--map-root-user", "--", "sh", "-c", forbidden, "sh"];
    const works = spawnSync(prefix[0], [...prefix.slice(1), "true"]).status === 0;
    if (!requireThat(t, works, "it needs a user namespace")) return;
    const { status, output, errors } = await lab([], { prefix }).ended;
    assert.deepEqual({ status, output }, { status: 1, output: "" });
    assert.match(
      errors,
      /^warren: namespaces are forbidden here \(their number is limited\): .*sysctl -w user\.max_net_namespaces=.*\n$/,
    );
  });

  test("a part that cannot be broken is wrong usage", async () => {
    const { status, output, errors } = await lab(["--break", "everything"]).ended;
    assert.deepEqual({ status, output }, { status: 2, output: "" });
    assert.match(errors, /^[^\n]*everything[^\n]*\n$/);
  });
});

/** Every field that docs/lab.md promises, with what it must be. */
function checkRecord(record: LabRecord, privilege: string): void {
  assert.equal(record.stage, "wireguard");
  assert.equal(record.ok, true);
  assert.equal(record.privilege, privilege);
  assert.equal(record.broken, null);
  assert.equal(record.topology.hosts.length, 5);
  assert.deepEqual(
    record.steps.map(({ name }) => name),
    [
      ...["topology", "direct", "server", "client", "route", "handshake", "forward", "nat", "ping", "dns"],
      ...["eavesdropper", "throughput", "teardown"],
    ],
  );
  const detail = detailsOf<WireguardSteps & FrameSteps>(record);
  assert.equal(detail("direct").seenFrom, "198.51.100.2");
  assert.equal(detail("server").port, 51_820);
  const chosen = detail("route").routes.filter(({ chosenFor }) => chosenFor !== null);
  assert.deepEqual(
    chosen.map(({ destination, device }) => `${destination} ${device}`),
    ["8.8.8.8/32 wg0", "2001:4860:4860::8888/128 wg0"],
  );
  assert.deepEqual([detail("handshake").initiationBytes, detail("handshake").responseBytes], [148, 92]);
  assert.deepEqual(
    detail("nat").seen.map(({ source }) => source),
    ["203.0.113.10", "2001:db8:2::10"],
  );
  assert.deepEqual(
    detail("ping").runs.map(({ replies }) => replies.length),
    [3, 3],
  );
  assert.deepEqual(
    detail("dns").answers.map(({ addresses }) => addresses),
    [["192.0.2.80"], ["2001:db8:80::80"]],
  );
  const { message, secrets } = detail("eavesdropper");
  assert.equal(message.type, 4);
  assert.match(message.ciphertext ?? "", /^[0-9a-f]{64}$/);
  assert.equal(secrets.length, 6);
  for (const secret of secrets) assert(secret.seenByEavesdropper === 0 && secret.seenInTunnel > 0, secret.what);
  assert(detail("throughput").gigabitsPerSecond > 0);
  assert.deepEqual(
    detail("teardown").tunnels.map(({ host }) => host),
    ["server", "client"],
  );
}

/** What a VPN gone wrong would have changed of this machine. */
function machineState(): unknown {
  using config = InterfaceConfig.open();
  const nft = spawnSync("nft", ["--stateless", "list", "ruleset"], { encoding: "utf8" });
  return {
    links: config.links.list(),
    addresses: config.addresses.list(),
    routes: config.routes.list(),
    rules: [config.rules.list(4), config.rules.list(6)],
    forwarding: [Sysctl.get("net/ipv4/ip_forward"), Sysctl.get("net/ipv6/conf/all/forwarding")],
    ruleset: nft.error === undefined && nft.status === 0 ? nft.stdout : "not to be seen",
  };
}

function isRoot(): boolean {
  return /^\s*0\s+0\s/.test(readFileSync("/proc/self/uid_map", "utf8")) && process.getuid?.() === 0;
}
