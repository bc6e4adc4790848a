/**
 * The measurements, each by a program inside the hosts: one TCP stream over IPv4 by iperf3, as its receiver saw it, and
 * round trips over IPv6 by ping.
 */
import { setTimeout as delay } from "node:timers/promises";
import { VpnError } from "../src/base/errors.ts";
import { Program } from "./program.ts";
import type { Host, TwoHosts } from "./two-hosts.ts";

export interface Throughput {
  /** What arrived, as iperf3's server counted it. */
  readonly bitsPerSecond: number;
  /** The server's own JSON. */
  readonly iperf3: unknown;
}

export interface RoundTrips {
  readonly sent: number;
  readonly received: number;
  readonly minimumMs: number;
  readonly medianMs: number;
  readonly averageMs: number;
  readonly p99Ms: number;
}

const iperf3Port = 5201;

/** Sends one TCP stream from a to b for so many seconds. */
export async function measureThroughput(hosts: TwoHosts, seconds: number, signal: AbortSignal): Promise<Throughput> {
  const { a, b } = hosts;
  await using server = new Program(b.namespace, ["iperf3", "-4", "-s", "-1", "-J"], signal);
  await server.until(() => server.listensOn(iperf3Port));
  const command = ["iperf3", "-4", "-J", "-c", b.v4.address.toString(), "-t", String(seconds)];
  await using client = new Program(a.namespace, command, signal);
  const [iperf3] = await Promise.all([server.output(), client.output()]);
  const report = JSON.parse(iperf3) as { end?: { sum_received?: { bits_per_second?: number } }; error?: string };
  const bitsPerSecond = report.end?.sum_received?.bits_per_second;
  if (bitsPerSecond !== undefined) return { bitsPerSecond, iperf3: report };
  throw new VpnError(
    "not-available",
    `iperf3 measured nothing${report.error === undefined ? "" : `: ${report.error}`}`,
  );
}

/** Waits until a packet comes back, which takes a handshake. Throws if none does. */
export async function waitForTunnel({ a, b }: TwoHosts, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt++) {
    if ((await ping(a, b, ["-c", "1", "-W", "1"], signal)).length === 1) return;
  }
  throw new VpnError("not-available", "no packet passed the tunnel within ten seconds");
}

/** Sends `count` pings from a to b, one every 10 ms. */
export async function measureRoundTrips({ a, b }: TwoHosts, count: number, signal: AbortSignal): Promise<RoundTrips> {
  await delay(200, undefined, { signal }); // let what the handshake set going come to rest
  const times = await ping(a, b, ["-c", String(count), "-i", "0.01", "-W", "1"], signal);
  times.sort((x, y) => x - y);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? Number.NaN;
  return {
    sent: count,
    received: times.length,
    minimumMs: at(0),
    medianMs: at(0.5),
    averageMs: times.reduce((sum, time) => sum + time, 0) / times.length,
    p99Ms: at(0.99),
  };
}

/** The round-trip times that came back, in milliseconds. */
async function ping(from: Host, to: Host, options: readonly string[], signal: AbortSignal): Promise<number[]> {
  await using program = new Program(from.namespace, ["ping", "-6", "-n", ...options, to.v6.address.toString()], signal);
  const text = await program.output().catch(() => ""); // its status is 1 when nothing came back
  signal.throwIfAborted();
  return Array.from(text.matchAll(/time=([0-9.]+) ms/g), ([, time]) => Number(time));
}
