/** What `--trace` finds out: one ping, place by place, as data. Everything in it was captured or asked for in that run. */
import type { PacketChange } from "../packet/difference.ts";
import type { Wrapping } from "./carriers.ts";
import type { FieldRecord } from "./packet-account.ts";

/** What the kernel of a host answered, asked which route it takes (RTM_GETROUTE with RTM_F_FIB_MATCH). */
export interface RouteAnswer {
  readonly asked: string;
  /** The entry of the routing table that matches, and how long its prefix is. */
  readonly destination: string;
  readonly prefix: number;
  readonly via: string | null;
  readonly device: string;
  /** The address that a socket which has none gets. */
  readonly source: string | null;
}

export interface TracePoint {
  readonly step: number;
  /** The steps of the seed's walkthrough of this direction that it belongs to: docs/tutorial/03-framing.md lists them. */
  readonly seed: readonly number[];
  readonly host: string;
  readonly place: string;
  /** Where the bytes were captured; `null` for a program's own socket call, and where there are no bytes. */
  readonly device: string | null;
  readonly direction: "in" | "out" | null;
  /** In hexadecimal. */
  readonly bytes: string | null;
  readonly fields: readonly FieldRecord[];
  readonly route: RouteAnswer | null;
  readonly wrapping: Wrapping | null;
  /** The step with whose bytes these were compared, and every difference. */
  readonly since: number | null;
  readonly changes: readonly PacketChange[];
}

/** The steps that `--trace` adds to a stage. */
export type TraceSteps = {
  request: { readonly points: readonly TracePoint[] };
  reply: { readonly points: readonly TracePoint[] };
};
