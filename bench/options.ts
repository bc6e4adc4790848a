/** The command line of `npm run bench`. */
import { parseArgs } from "node:util";
import { VpnError } from "../src/base/errors.ts";
import type { Contestant } from "./contestant.ts";
import { againstUsage, readLineup } from "./contestants/lineup.ts";
import type { Workload } from "./workload.ts";
import { leftOutWhenQuick, matrix } from "./workloads/matrix.ts";

const usage = `npm run bench -- [--against ${againstUsage}]... [--pairs 5] [--seconds 4] [--only WORKLOAD,...] [--quick] [--json FILE]`;

export interface BenchOptions {
  readonly lineup: readonly Contestant[];
  readonly workloads: readonly Workload[];
  readonly pairs: number;
  /** How long one measurement lasts. */
  readonly seconds: number;
  readonly isQuick: boolean;
  readonly json: string | undefined;
}

/** Throws `invalid-argument`, or what a contestant lacks. */
export function readOptions(words: readonly string[]): BenchOptions {
  const { against = [], pairs, seconds, only, quick, json } = parse(words);
  return {
    lineup: readLineup(against),
    workloads: only === undefined ? all(quick) : chosen(only),
    pairs: pairs === undefined ? (quick ? 1 : 5) : readCount("pairs", pairs),
    seconds: seconds === undefined ? (quick ? 2 : 4) : readCount("seconds", seconds),
    isQuick: quick,
    json,
  };
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        against: { type: "string", multiple: true },
        pairs: { type: "string" },
        seconds: { type: "string" },
        only: { type: "string" },
        quick: { type: "boolean", default: false },
        json: { type: "string" },
      },
    }).values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new VpnError("invalid-argument", error.message.split(". ")[0], { remedy: usage });
  }
}

function all(quick: boolean): readonly Workload[] {
  return quick ? matrix.filter(({ name }) => !leftOutWhenQuick.has(name)) : matrix;
}

function chosen(only: string): readonly Workload[] {
  return only.split(",").map((name) => {
    const found = matrix.find((workload) => workload.name === name);
    if (found !== undefined) return found;
    throw new VpnError("invalid-argument", `--only does not know ${JSON.stringify(name)}`, {
      remedy: `known are ${matrix.map((workload) => workload.name).join(", ")}`,
    });
  });
}

function readCount(name: string, text: string): number {
  const count = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0;
  if (count > 0) return count;
  throw new VpnError("invalid-argument", `--${name} takes a whole number from 1 to 9999, not ${JSON.stringify(text)}`);
}
