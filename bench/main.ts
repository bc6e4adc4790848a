/**
 * `npm run bench`: throughput, round trips, allocation, memory and time to start, in turn with `warren classic` and, as
 * asked for, with wireguard-go or another checkout of warren. A table goes to standard error, the whole result as JSON to
 * standard output or to a file.
 *
 * Absolute figures drift with the machine and its neighbours; only the ratios of runs made in turn count.
 */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { VpnError } from "../src/base/errors.ts";
import { mountPrivateRun } from "../src/os/process.ts";
import { loadSeconds, measureAllocation } from "./allocation.ts";
import { openClassic } from "./classic-pair.ts";
import { type ComparisonOptions, compare } from "./comparison.ts";
import { checkoutVersion, requirePrograms, thisMachine, yardstickVersion } from "./machine.ts";
import { type BenchResult, formatTable, spreadOf } from "./table.ts";
import { mtu, openWarren, openWireguardGo } from "./tunnel-pair.ts";
import { TwoHosts } from "./two-hosts.ts";

const usage =
  "npm run bench -- [--against WIREGUARD_GO | --against warren=CHECKOUT] [--pairs 5] [--seconds 4] [--json FILE]";

interface BenchOptions {
  readonly against: string | undefined;
  readonly pairs: number;
  readonly seconds: number;
  readonly json: string | undefined;
}

const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => interruption.abort());

try {
  await bench(readOptions());
} catch (error) {
  clearProgress();
  if (interruption.signal.aborted) process.exitCode = 130;
  else if (error instanceof VpnError) {
    console.error(`bench: ${error.line}`);
    process.exitCode = error.code === "invalid-argument" ? 2 : 1;
  } else throw error;
}

async function bench({ against, pairs: count, seconds, json }: BenchOptions): Promise<void> {
  requirePrograms();
  const yardstick = against === undefined ? undefined : findYardstick(against);
  const machine = thisMachine();
  new TwoHosts()[Symbol.dispose](); // says what to do where namespaces may not be made
  mountPrivateRun(); // wireguard-go keeps its control socket there
  const { signal } = interruption;
  progress(`allocation, ${loadSeconds} seconds`);
  const allocation = await measureAllocation(signal);
  const pairs = await compare({
    pairs: count,
    seconds,
    openWarren: openWarren(),
    openClassic,
    yardstick,
    signal,
    progress,
  });
  const ratios = pairs.flatMap(({ ratio }) => ratio ?? []);
  const result: BenchResult = {
    date: new Date().toISOString(),
    machine,
    settings: { pairs: count, seconds, streams: 1, mtu },
    against: yardstick === undefined ? null : { name: yardstick.name, version: yardstick.version },
    pairs,
    ratio: ratios.length === 0 ? null : spreadOf(ratios),
    classicRatio: spreadOf(pairs.map(({ classicRatio }) => classicRatio)),
    allocation,
    slowestReadyMs: Math.max(...pairs.flatMap(({ warren }) => warren.readyMs)),
    largestResidentBytes: Math.max(...pairs.flatMap(({ warren }) => warren.residentBytes)),
  };
  clearProgress();
  console.error(formatTable(result));
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
  else if (!process.stdout.isTTY) console.log(JSON.stringify(result));
}

/** What is named by `--against`: the program wireguard-go, or a checkout of warren. */
function findYardstick(against: string): NonNullable<ComparisonOptions["yardstick"]> & { readonly version: string } {
  const checkout = /^warren=(.+)$/.exec(against)?.[1];
  if (checkout === undefined) {
    return { name: "wireguard-go", version: yardstickVersion(against), open: openWireguardGo(against) };
  }
  const path = resolve(checkout);
  return { name: "warren", version: checkoutVersion(path), open: openWarren(path) };
}

function readOptions(): BenchOptions {
  try {
    const { values } = parseArgs({
      options: {
        against: { type: "string" },
        pairs: { type: "string", default: "5" },
        seconds: { type: "string", default: "4" },
        json: { type: "string" },
      },
    });
    const { against, json } = values;
    return { against, json, pairs: readCount("pairs", values.pairs), seconds: readCount("seconds", values.seconds) };
  } catch (error) {
    if (error instanceof VpnError || !(error instanceof TypeError)) throw error;
    throw new VpnError("invalid-argument", error.message.split(". ")[0], { remedy: usage });
  }
}

function readCount(name: string, text: string): number {
  const count = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0;
  if (count > 0) return count;
  throw new VpnError("invalid-argument", `--${name} takes a whole number from 1 to 9999, not ${JSON.stringify(text)}`);
}

function progress(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}
