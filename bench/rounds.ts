/**
 * Runs each workload for one contestant after the other, in fresh namespaces, and the next time in the opposite order,
 * so that drift of the machine cancels. A run that fails is kept as what it said.
 */
import { VpnError } from "../src/base/errors.ts";
import type { Contestant } from "./contestant.ts";
import { TwoHosts } from "./two-hosts.ts";
import type { Values, Workload } from "./workload.ts";

/** What one run gave, or why it gave nothing. */
export type Run =
  | { readonly kind: "measured"; readonly values: Values }
  | { readonly kind: "failed"; readonly why: string };

/** One run of each contestant. */
export interface Round {
  /** By name, in the order in which they ran. */
  readonly order: readonly string[];
  readonly runs: Readonly<Record<string, Run>>;
}

export interface RoundsOptions {
  readonly lineup: readonly Contestant[];
  readonly rounds: number;
  readonly seconds: number;
  readonly isQuick: boolean;
  readonly signal: AbortSignal;
  readonly progress: (what: string) => void;
}

/** Rejects where the bench is interrupted, and for a mistake of its own. */
export async function runRounds(workload: Workload, options: RoundsOptions): Promise<Round[]> {
  const { lineup, rounds, progress } = options;
  const taking = lineup.filter((contestant) => workload.takes?.(contestant) !== false);
  const results: Round[] = [];
  for (let i = 0; i < rounds; i++) {
    const inOrder = i % 2 === 0 ? taking : taking.toReversed();
    const runs: Record<string, Run> = {};
    for (const contestant of inOrder) {
      progress(`${workload.name}, round ${i + 1} of ${rounds}: ${contestant.name}`);
      runs[contestant.name] = await runOnce(workload, contestant, options);
    }
    results.push({ order: inOrder.map(({ name }) => name), runs });
  }
  return results;
}

async function runOnce(workload: Workload, contestant: Contestant, options: RoundsOptions): Promise<Run> {
  const { seconds, isQuick } = options;
  const limitSeconds = 60 + 40 * seconds;
  const limit = AbortSignal.timeout(1000 * limitSeconds);
  const signal = AbortSignal.any([options.signal, limit]);
  try {
    await using resources = new AsyncDisposableStack();
    const hosts = resources.use(new TwoHosts(workload.outside));
    const values = await workload.measure({ hosts, contestant, resources, signal, seconds, isQuick });
    return { kind: "measured", values };
  } catch (error) {
    options.signal.throwIfAborted();
    if (limit.aborted) return { kind: "failed", why: `it was not done within ${limitSeconds} seconds` };
    if (error instanceof VpnError) return { kind: "failed", why: error.line };
    if (error instanceof Error && "syscall" in error) return { kind: "failed", why: error.message };
    throw error;
  }
}
