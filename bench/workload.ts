/**
 * What is measured. A workload is run for one contestant after the other, each time between two fresh hosts, and gives
 * one or more figures; a figure may have a target that warren is to reach.
 */
import { VpnError } from "../src/base/errors.ts";
import type { Contestant, TunnelPair } from "./contestant.ts";
import { ping } from "./ping.ts";
import type { Family, TwoHosts } from "./two-hosts.ts";

export interface Workload {
  /** As `--only` names it. */
  readonly name: string;
  /** Of the network outside the tunnel. */
  readonly outside: Family;
  readonly figures: readonly Figure[];
  /** Whether it can be measured with this contestant; with all unless given. */
  readonly takes?: (contestant: Contestant) => boolean;
  /** The value of each figure, by its name. Throws `VpnError` where nothing could be measured. */
  readonly measure: (site: Site) => Promise<Values>;
}

/** A figure that could not be taken is left out. */
export type Values = Readonly<Record<string, number>>;

export interface Figure {
  /** No two figures of all workloads have the same. */
  readonly name: string;
  readonly unit: string;
  readonly better: "more" | "less";
  /** How many digits after the point people are shown. */
  readonly digits: number;
  readonly target?: Target;
}

/** What warren is to reach: a ratio to wireguard-go's value, or a value of its own; at least or at most, as `better` says. */
export interface Target {
  readonly of: "ratio" | "value";
  readonly bound: number;
  /** Beyond the bound and still met. */
  readonly tolerance?: number;
}

/** Where one run takes place. */
export interface Site {
  readonly hosts: TwoHosts;
  readonly contestant: Contestant;
  /** Undone when the run is over. */
  readonly resources: AsyncDisposableStack;
  readonly signal: AbortSignal;
  /** How long one measurement lasts. */
  readonly seconds: number;
  /** Whether figures may be coarse, so that they come soon. */
  readonly isQuick: boolean;
}

/** Opens the contestant's tunnel, and waits until packets pass it. Throws if none does. */
export async function openTunnel({ hosts, contestant, resources, signal }: Site): Promise<TunnelPair> {
  const pair = await contestant.open(hosts, resources, signal);
  for (let attempt = 0; attempt < 10; attempt++) {
    if ((await ping(hosts, 4, ["-c", "1", "-W", "1"], signal)).length === 1) return pair;
  }
  throw new VpnError("not-available", "no packet passed the tunnel within ten seconds");
}
