/** One run of each implementation after the other, in fresh namespaces: AB, BA, AB and so on, so that drift cancels. */
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
  readonly order: "AB" | "BA";
  readonly warren: Run;
  readonly wireguardGo?: Run;
  /** Throughput of warren over that of wireguard-go. */
  readonly ratio?: number;
}

export interface ComparisonOptions {
  readonly pairs: number;
  readonly seconds: number;
  readonly openWarren: OpenTunnel;
  /** Absent: warren is measured alone. */
  readonly openWireguardGo?: OpenTunnel | undefined;
  readonly signal: AbortSignal;
  readonly progress: (what: string) => void;
}

export async function compare(options: ComparisonOptions): Promise<Pair[]> {
  const { pairs, seconds, openWarren, openWireguardGo, signal, progress } = options;
  const results: Pair[] = [];
  for (let i = 0; i < pairs; i++) {
    const runOf = (name: string, open: OpenTunnel) => {
      progress(`pair ${i + 1} of ${pairs}: ${name}`);
      return runOnce(open, seconds, signal);
    };
    if (openWireguardGo === undefined) {
      results.push({ order: "AB", warren: await runOf("warren", openWarren) });
    } else if (i % 2 === 0) {
      const warren = await runOf("warren", openWarren);
      results.push(paired("AB", warren, await runOf("wireguard-go", openWireguardGo)));
    } else {
      const wireguardGo = await runOf("wireguard-go", openWireguardGo);
      results.push(paired("BA", await runOf("warren", openWarren), wireguardGo));
    }
  }
  return results;
}

function paired(order: Pair["order"], warren: Run, wireguardGo: Run): Pair {
  return { order, warren, wireguardGo, ratio: warren.bitsPerSecond / wireguardGo.bitsPerSecond };
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
