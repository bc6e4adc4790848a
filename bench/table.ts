/** The bench's result for people. */
import type { Allocations } from "./allocation.ts";
import type { Pair } from "./comparison.ts";
import type { Machine } from "./machine.ts";

export interface BenchResult {
  /** ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  readonly settings: { readonly pairs: number; readonly seconds: number; readonly streams: 1; readonly mtu: number };
  /** What warren was compared with; null: it was measured alone. */
  readonly against: { readonly name: string; readonly version: string } | null;
  readonly pairs: readonly Pair[];
  /** Throughput of warren over that of `against`, over the pairs; null where warren was alone. */
  readonly ratio: Spread | null;
  /** Throughput of `warren classic` over that of the tunnel, over the pairs. */
  readonly classicRatio: Spread;
  readonly allocation: Allocations;
  /** Of all of warren's processes: the longest time to an interface that is up, the most resident memory after load. */
  readonly slowestReadyMs: number;
  readonly largestResidentBytes: number;
}

export interface Spread {
  readonly median: number;
  readonly minimum: number;
  readonly maximum: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((x, y) => x - y);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return { median, minimum: sorted[0], maximum: sorted[sorted.length - 1] };
}

export function formatTable(result: BenchResult): string {
  const { machine, settings, against, pairs, ratio, classicRatio, allocation } = result;
  const described = against === null ? "" : `${against.name} ${against.version}`;
  const rows = pairs.map(({ order, warren, yardstick, ratio: quotient, classic, classicRatio: ofTunnel }, i) => [
    `${i + 1} ${order}`,
    gigabits(warren.bitsPerSecond),
    yardstick === undefined ? "" : gigabits(yardstick.bitsPerSecond),
    quotient?.toFixed(2) ?? "",
    gigabits(classic.bitsPerSecond),
    ofTunnel.toFixed(2),
    warren.roundTrips.medianMs.toFixed(2),
    yardstick?.roundTrips.medianMs.toFixed(2) ?? "",
  ]);
  const other = against?.name === "warren" ? "other" : "wg-go";
  const header = [
    ...["pair", "warren Gbit/s", `${other} Gbit/s`, "ratio"],
    ...["classic Gbit/s", "of tunnel", "warren rtt ms", `${other} rtt ms`],
  ];
  return [
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, load ${machine.loadAverage}`,
    `TCP, one stream, MTU ${settings.mtu}, ${settings.seconds} s a run, both ends on this machine`,
    against === null ? "warren alone: give --against the path of a wireguard-go to compare" : `against ${described}`,
    "",
    ...[header, ...rows].map((cells) =>
      cells
        .map((cell, i) => cell.padEnd(header[i].length + 2))
        .join("")
        .trimEnd(),
    ),
    "",
    ...(ratio === null
      ? []
      : [`median ratio   ${ratio.median.toFixed(2)} (${ratio.minimum.toFixed(2)} to ${ratio.maximum.toFixed(2)})`]),
    `classic        ${classicRatio.median.toFixed(2)} of the tunnel (${classicRatio.minimum.toFixed(2)} to ${classicRatio.maximum.toFixed(2)})`,
    `allocation     ${perPacket(allocation.outbound)} outbound, ${perPacket(allocation.inbound)} inbound (at most 1)`,
    `resident       ${Math.ceil(result.largestResidentBytes / 1e6)} MB a process after load (under 150)`,
    `ready after    ${Math.ceil(result.slowestReadyMs)} ms at the slowest (under 500)`,
  ].join("\n");
}

function gigabits(bitsPerSecond: number): string {
  return (bitsPerSecond / 1e9).toFixed(2);
}

function perPacket({ bytesPerPacket }: { readonly bytesPerPacket: number }): string {
  return `${bytesPerPacket.toFixed(2)} bytes a packet`;
}
