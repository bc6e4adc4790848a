/** Numbers as people read them: how long ago, how much. */

const sizes = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const spans = [
  ["year", 365 * 86_400],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
] as const;

/** `1.50 KiB`; whole bytes have no fraction. */
export function formatSize(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < sizes.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(2)} ${sizes[unit]}`;
}

/** `1 minute, 2 seconds`. */
export function formatSpan(seconds: number): string {
  const parts: string[] = [];
  let rest = Math.floor(seconds);
  for (const [name, length] of spans) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0) parts.push(`${count} ${name}${count === 1 ? "" : "s"}`);
  }
  return parts.length === 0 ? "0 seconds" : parts.join(", ");
}

/** `1 minute, 2 seconds ago`, of times in ms since 1970. The clock may have been set back since. */
export function formatAge(thenMs: number, nowMs: number): string {
  const seconds = Math.floor((nowMs - thenMs) / 1000);
  if (seconds < 0) return `in ${formatSpan(-seconds)}: the clock was set back`;
  return seconds === 0 ? "now" : `${formatSpan(seconds)} ago`;
}
