/** The bench's result for people: a row for each figure, a column for each contestant and for each ratio. */
import type { BenchResult, FigureResult, Spread, WorkloadResult } from "./result.ts";

export function formatTable(result: BenchResult): string {
  const { contestants, workloads } = result;
  const [own, ...others] = contestants.map(({ name }) => name);
  const header = [
    "",
    "unit",
    own,
    ...others.flatMap((name) => [name, others.length === 1 ? "ratio" : `to ${name}`]),
    "target",
  ];
  const rows = workloads.flatMap(({ figures }) => figures.map((figure) => formatFigure(figure, own, others)));
  const failures = workloads.flatMap(formatFailures);
  return [
    ...describe(result),
    "",
    ...align([header, ...rows]),
    "",
    "Medians. A ratio is warren's value over the other's: the median of the pairs, and the least and the greatest.",
    ...(failures.length === 0 ? [] : ["", ...failures]),
  ].join("\n");
}

function describe({ machine, settings, contestants }: BenchResult): string[] {
  const { pairs, seconds, mtu, isQuick } = settings;
  const named = contestants.map(({ name, version }) => (name.includes(version) ? name : `${name} ${version}`));
  return [
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, load ${machine.loadAverage}`,
    `${named.join(", ")}${named.length === 1 ? " alone: name others with --against to compare" : ""}`,
    `${pairs} ${pairs === 1 ? "round" : "rounds"}, ${seconds} s a measurement${isQuick ? " at most, quick" : ""}, MTU ${mtu}, both ends on this machine`,
  ];
}

function formatFigure(figure: FigureResult, own: string, others: readonly string[]): string[] {
  const { name, unit, digits, values, ratios } = figure;
  const value = (of: string): string => values[of]?.median.toFixed(digits) ?? "-";
  return [
    name,
    unit,
    value(own),
    ...others.flatMap((other) => [value(other), formatRatio(ratios[other])]),
    formatTarget(figure),
  ];
}

function formatRatio(ratio: (Spread & { readonly pairs: readonly number[] }) | undefined): string {
  if (ratio === undefined) return "-";
  const { median, minimum, maximum, pairs } = ratio;
  const [middle, least, greatest] = [median, minimum, maximum].map((value) => value.toFixed(2));
  return pairs.length === 1 ? middle : `${middle} (${least} to ${greatest})`;
}

function formatTarget({ target, better, isMet, unit }: FigureResult): string {
  if (target === undefined) return "";
  const bound = `${better === "more" ? "at least" : "at most"} ${target.bound}${target.of === "value" ? ` ${unit}` : ""}`;
  return isMet === undefined ? bound : `${bound}: ${isMet ? "met" : "missed"}`;
}

function formatFailures({ name, rounds }: WorkloadResult): string[] {
  return rounds.flatMap(({ runs }, i) =>
    Object.entries(runs).flatMap(([contestant, run]) =>
      run.kind === "failed" ? [`failed: ${name}, round ${i + 1}, ${contestant}: ${run.why}`] : [],
    ),
  );
}

function align(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] + 2))
      .join("")
      .trimEnd(),
  );
}
