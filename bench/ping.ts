/** Round trips by ping(8), from host a to host b through the tunnel. */
import { Program } from "./program.ts";
import type { Family, TwoHosts } from "./two-hosts.ts";

/** The times that came back, in milliseconds, in order. */
export async function ping(
  { a, b }: TwoHosts,
  inside: Family,
  options: readonly string[],
  signal: AbortSignal,
): Promise<number[]> {
  const to = (inside === 4 ? b.v4 : b.v6).address.toString();
  await using program = new Program(a.namespace, ["ping", `-${inside}`, "-n", ...options, to], signal);
  const text = await program.output().catch(() => ""); // its status is 1 when nothing came back
  signal.throwIfAborted();
  return Array.from(text.matchAll(/time=([0-9.]+) ms/g), ([, time]) => Number(time));
}
