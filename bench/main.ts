/**
 * `npm run bench`: warren, and whoever is named with `--against`, in alternating rounds of each workload
 * (`workloads/matrix.ts`). A table goes to standard error, the whole result as JSON to standard output or to a file.
 * The exit status is 1 where a run failed; a target that is missed is a result.
 *
 * Absolute figures drift with the machine and its neighbours; only the ratios of runs made in turn count.
 */
import { writeFileSync } from "node:fs";
import { VpnError } from "../src/base/errors.ts";
import { mountPrivateRun } from "../src/os/process.ts";
import { requirePrograms, thisMachine } from "./machine.ts";
import { type BenchOptions, readOptions } from "./options.ts";
import { type BenchResult, summarise, type WorkloadResult } from "./result.ts";
import { runRounds } from "./rounds.ts";
import { formatTable } from "./table.ts";
import { mtu, TwoHosts } from "./two-hosts.ts";

const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => interruption.abort());

try {
  await bench(readOptions(process.argv.slice(2)));
} catch (error) {
  clearProgress();
  if (interruption.signal.aborted) process.exitCode = 130;
  else if (error instanceof VpnError) {
    console.error(`bench: ${error.line}`);
    process.exitCode = error.code === "invalid-argument" ? 2 : 1;
  } else throw error;
}

async function bench({ lineup, workloads, pairs, seconds, isQuick, json }: BenchOptions): Promise<void> {
  requirePrograms();
  const machine = thisMachine();
  new TwoHosts()[Symbol.dispose](); // says what to do where namespaces may not be made
  mountPrivateRun(); // control sockets lie there
  console.error(`bench: load average ${machine.loadAverage} on ${machine.cores} cores`);
  const { signal } = interruption;
  const names = lineup.map(({ name }) => name);
  const measured: WorkloadResult[] = [];
  for (const workload of workloads) {
    const rounds = await runRounds(workload, { lineup, rounds: pairs, seconds, isQuick, signal, progress });
    measured.push(summarise(workload, names, rounds));
  }
  const result: BenchResult = {
    date: new Date().toISOString(),
    machine,
    settings: { pairs, seconds, isQuick, mtu },
    contestants: lineup.map(({ name, version }) => ({ name, version })),
    workloads: measured,
  };
  clearProgress();
  console.error(formatTable(result));
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
  else if (!process.stdout.isTTY) console.log(JSON.stringify(result));
  const runs = measured.flatMap(({ rounds }) => rounds.flatMap((round) => Object.values(round.runs)));
  if (runs.some(({ kind }) => kind === "failed")) process.exitCode = 1;
}

function progress(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}
