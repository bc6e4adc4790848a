/** The ways to a peer and what was decided about them, as `warren show` tells it. */
import type { PeerPathsReport } from "../tunnel/path-report.ts";
import { formatAge, formatSize } from "./quantities.ts";

/** A row for each way, the preferred one first, and for each decision, the latest first. */
export function pathRows(report: PeerPathsReport | undefined, nowMs: number): (readonly [string, string])[] {
  if (report === undefined) return [];
  const ways = report.ways.map((way) => ["way", wayText(way)] as const);
  const decisions = report.decisions.map(
    ({ agoMs, text }) => ["decision", `${formatAge(nowMs - agoMs, nowMs)}: ${text}`] as const,
  );
  return [...ways, ...decisions.toReversed()];
}

function wayText({
  name,
  isUsed,
  isReady,
  roundTripMs,
  lossShare,
  bytesPerSecond,
}: PeerPathsReport["ways"][number]): string {
  const state = isUsed ? "in use" : isReady ? "ready" : "not connected";
  const measured = [
    ...(roundTripMs === undefined ? [] : [`round trip ${Math.round(roundTripMs)} ms`]),
    ...(isUsed ? [`${formatSize(Math.round(bytesPerSecond))}/s`] : []),
    ...(lossShare < 0.001 ? [] : [`${(100 * lossShare).toFixed(1)} % of what comes is lost`]),
  ];
  return [name, state, ...measured].join(", ");
}
