/**
 * One run of each implementation after the other, in fresh namespaces, and the next time in the opposite order, so that
 * drift cancels: warren's tunnel, what it is compared with, and `warren classic`, which is compared with the tunnel.
 */
import {
  measureRoundTrips,
  measureThroughput,
  type RoundTrips,
  type Throughput,
  waitForTunnel,
} from "./measurement.ts";
import type { OpenTunnel, TunnelPair } from "./tunnel-pair.ts";
import { TwoHosts } from "./two-hosts.ts";

const pings = 100;

/** What one run of one implementation gave. The ends are the sender's and the receiver's. */
export interface Run extends Throughput {
  /** Through the idle tunnel, before any load. */
  readonly roundTrips: RoundTrips;
  readonly readyMs: TunnelPair["readyMs"];
  /** After the load. */
  readonly residentBytes: readonly [a: number, b: number];
}

export interface Pair {
  /** AB: warren, the yardstick, classic; BA: the other way round. */
  readonly order: "AB" | "BA";
  readonly warren: Run;
  readonly yardstick?: Run;
  /** Throughput of warren over that of the yardstick. */
  readonly ratio?: number;
  readonly classic: Run;
  /** Throughput of classic over that of warren's tunnel. */
  readonly classicRatio: number;
}

export interface ComparisonOptions {
  readonly pairs: number;
  readonly seconds: number;
  readonly openWarren: OpenTunnel;
  readonly openClassic: OpenTunnel;
  /** Absent: warren is compared with nothing but its own classic. */
  readonly yardstick: { readonly name: string; readonly open: OpenTunnel } | undefined;
  readonly signal: AbortSignal;
  readonly progress: (what: string) => void;
}

export async function compare(options: ComparisonOptions): Promise<Pair[]> {
  const { pairs, seconds, openWarren, openClassic, yardstick, signal, progress } = options;
  const results: Pair[] = [];
  for (let i = 0; i < pairs; i++) {
    const runOf = (name: string, open: OpenTunnel) => {
      progress(`pair ${i + 1} of ${pairs}: ${name}`);
      return runOnce(open, seconds, signal);
    };
    const runYardstick = async () => yardstick && (await runOf(yardstick.name, yardstick.open));
    if (i % 2 === 0) {
      const warren = await runOf("warren", openWarren);
      const other = await runYardstick();
      results.push(paired("AB", warren, other, await runOf("classic", openClassic)));
    } else {
      const classic = await runOf("classic", openClassic);
      const other = await runYardstick();
      results.push(paired("BA", await runOf("warren", openWarren), other, classic));
    }
  }
  return results;
}

function paired(order: Pair["order"], warren: Run, yardstick: Run | undefined, classic: Run): Pair {
  return {
    order,
    warren,
    ...(yardstick === undefined ? {} : { yardstick, ratio: warren.bitsPerSecond / yardstick.bitsPerSecond }),
    classic,
    classicRatio: classic.bitsPerSecond / warren.bitsPerSecond,
  };
}

async function runOnce(open: OpenTunnel, seconds: number, signal: AbortSignal): Promise<Run> {
  await using resources = new AsyncDisposableStack();
  const hosts = resources.use(new TwoHosts());
  const { a, b, readyMs } = await open(hosts, resources, signal);
  await waitForTunnel(hosts, signal);
  const roundTrips = await measureRoundTrips(hosts, pings, signal);
  const throughput = await measureThroughput(hosts, seconds, signal);
  return { ...throughput, roundTrips, readyMs, residentBytes: [a.residentBytes(), b.residentBytes()] };
}
