/** The bench itself, at its shortest: that what it says comes out, and that it ends when it is told to. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { BenchResult } from "../../bench/result.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";

const main = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));
const timeout = 240_000;

const isReady = (t: TestContext) =>
  requireNamespaces(t) &&
  requireProgram(t, "ping", "iputils-ping") !== undefined &&
  requireProgram(t, "iperf3", "iperf3") !== undefined;

function start(...parameters: string[]) {
  const child = spawn(process.execPath, [main, ...parameters], { stdio: ["ignore", "pipe", "pipe"] });
  return { child, output: text(child.stdout), said: text(child.stderr), ended: once(child, "close") };
}

/** The processes whose parent this is. */
function childrenOf({ pid }: ChildProcess): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]));
    } catch {
      // it has ended meanwhile
    }
  }
  return [...parents].filter(([, parent]) => parent === pid).map(([child]) => child);
}

test("a bench gives every figure of its workloads, and those of a cipher that does nothing", { timeout }, async (t) => {
  if (!isReady(t)) return;
  const { output, said, ended } = start(
    "--quick",
    "--seconds",
    "1",
    "--only",
    "tcp,udp-64,handshakes,ready",
    "--against",
    "null-cipher",
  );
  const [code] = await ended;
  assert.equal(code, 0, await said);
  const { contestants, workloads } = JSON.parse(await output) as BenchResult;
  assert.deepEqual(
    contestants.map(({ name }) => name),
    ["warren", "null-cipher"],
  );
  const figures = workloads.flatMap((workload) => workload.figures);
  const names = ["tcp", "tcp-cpu", "udp-64-lossless", "udp-64-overload", "udp-64-offered"];
  assert.deepEqual(
    figures.map(({ name }) => name),
    [...names, "handshakes", "handshakes-cpu", "ready", "memory-ready"],
  );
  // On a machine that is busy with other things no rate may be free of loss.
  for (const { name, values } of figures) assert.ok(values.warren.median > 0 || name === "udp-64-lossless", name);
  assert.ok((figures[0].values["null-cipher"]?.median ?? 0) > 0);
  assert.match(await said, /^tcp +Gbit\/s +[0-9.]+/m);
});

test("an interrupted bench ends at once, and nothing of it is left", { timeout }, async (t) => {
  if (!isReady(t)) return;
  const { child, said, ended } = start("--only", "tcp", "--seconds", "60");
  let mine: number[] = [];
  while (mine.length < 3) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(child.exitCode, null, "it ended too soon");
    mine = childrenOf(child);
  }
  child.kill("SIGINT");
  const [code] = await ended;
  assert.equal(code, 130, await said);
  for (const pid of mine) assert.throws(() => process.kill(pid, 0), /ESRCH/);
});
