/**
 * TCP throughput, and what it costs. Code is compiled and windows are opened by a short stream before the one that
 * counts; processor time is that of both ends' processes with all their threads, over the bytes that arrived.
 */
import { transferTcp } from "../iperf3.ts";
import type { Family } from "../two-hosts.ts";
import { openTunnel, type Target, type Workload } from "../workload.ts";

const warmUpSeconds = 1;

export interface TcpWorkloadOptions {
  readonly name: string;
  readonly inside: Family;
  readonly outside: Family;
  readonly streams: number;
  readonly bothWays: boolean;
  readonly target?: Target;
  readonly costTarget?: Target;
}

export function tcpWorkload(options: TcpWorkloadOptions): Workload {
  const { name, inside, outside, streams, bothWays, target, costTarget } = options;
  const cost = `${name}-cpu`;
  return {
    name,
    outside,
    figures: [
      { name, unit: "Gbit/s", better: "more", digits: 2, ...(target === undefined ? {} : { target }) },
      {
        name: cost,
        unit: "CPU s/GB",
        better: "less",
        digits: 2,
        ...(costTarget === undefined ? {} : { target: costTarget }),
      },
    ],
    async measure(site) {
      const { hosts, signal, seconds } = site;
      const { a, b } = await openTunnel(site);
      const load = { inside, streams, bothWays, seconds };
      await transferTcp(hosts, { ...load, seconds: warmUpSeconds }, signal);
      const before = a.cpuSeconds() + b.cpuSeconds();
      const { bitsPerSecond, bytes } = await transferTcp(hosts, load, signal);
      const spent = a.cpuSeconds() + b.cpuSeconds() - before;
      return { [name]: bitsPerSecond / 1e9, [cost]: spent / (bytes / 1e9) };
    },
  };
}
