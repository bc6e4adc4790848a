/** What came out of a bench: for machines as it stands, for people by `table.ts`. */
import type { Machine } from "./machine.ts";
import type { Round } from "./rounds.ts";
import type { Figure, Target, Workload } from "./workload.ts";

export interface BenchResult {
  /** ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  readonly settings: {
    readonly pairs: number;
    readonly seconds: number;
    readonly isQuick: boolean;
    readonly mtu: number;
  };
  /** warren first. */
  readonly contestants: readonly { readonly name: string; readonly version: string }[];
  readonly workloads: readonly WorkloadResult[];
}

export interface WorkloadResult {
  readonly name: string;
  /** IP version of the network that carries the tunnel. */
  readonly outside: number;
  readonly rounds: readonly Round[];
  readonly figures: readonly FigureResult[];
}

export interface FigureResult extends Figure {
  /** By contestant, over the rounds in which it was measured. */
  readonly values: Readonly<Record<string, Spread>>;
  /** warren's value over that of each other contestant, round by round, where both were measured. */
  readonly ratios: Readonly<Record<string, Spread & { readonly pairs: readonly number[] }>>;
  /** Whether warren reaches the target; absent where there is none, or nothing to tell it from. */
  readonly isMet?: boolean;
}

export interface Spread {
  readonly median: number;
  readonly minimum: number;
  readonly maximum: number;
}

/** Targets of ratios are set against this one. */
const yardstick = "wireguard-go";

/** `names` are those of the contestants, warren's first. */
export function summarise(workload: Workload, names: readonly string[], rounds: readonly Round[]): WorkloadResult {
  const figures = workload.figures.map((figure) => summariseFigure(figure, names, rounds));
  return { name: workload.name, outside: workload.outside, rounds, figures };
}

function summariseFigure(figure: Figure, [own, ...others]: readonly string[], rounds: readonly Round[]): FigureResult {
  const valueIn = ({ runs }: Round, name: string): number | undefined => {
    const run = runs[name];
    return run?.kind === "measured" ? run.values[figure.name] : undefined;
  };
  const values: Record<string, Spread> = {};
  for (const name of [own, ...others]) {
    const measured = rounds.flatMap((round) => valueIn(round, name) ?? []);
    if (measured.length > 0) values[name] = spreadOf(measured);
  }
  const ratios: Record<string, Spread & { readonly pairs: readonly number[] }> = {};
  for (const name of others) {
    const pairs = rounds.flatMap((round) => {
      const [ours, theirs] = [valueIn(round, own), valueIn(round, name)];
      return ours === undefined || theirs === undefined || theirs === 0 ? [] : [ours / theirs];
    });
    if (pairs.length > 0) ratios[name] = { ...spreadOf(pairs), pairs };
  }
  const { target, better } = figure;
  const found = (target?.of === "ratio" ? ratios[yardstick] : values[own])?.median;
  if (target === undefined || found === undefined) return { ...figure, values, ratios };
  return { ...figure, values, ratios, isMet: meets(found, target, better) };
}

function meets(value: number, { bound, tolerance = 0 }: Target, better: Figure["better"]): boolean {
  return better === "more" ? value >= bound - tolerance : value <= bound + tolerance;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((x, y) => x - y);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return { median, minimum: sorted[0], maximum: sorted[sorted.length - 1] };
}

/** The smallest value that at least this share of all does not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
