/** What is told between a tunnel and whoever keeps the ways to its peers, and how those fare, as plain data. */
import type { Endpoint } from "../base/address.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Handovers } from "../transport/handovers.ts";

/** Who keeps the ways, seen from the tunnel. */
export interface TunnelPaths {
  /** What endpoints on loopback stand for. */
  readonly handovers: Handovers;
  /** A probe was answered. */
  answered(key: PublicKey, endpoint: Endpoint, roundTripMs: number): void;
  /** How the ways of those peers fare that have several, by public key. */
  report(): Readonly<Record<string, PeerPathsReport>>;
}

/** How a peer's ways fare, for a reader. Times are in milliseconds of `bootTime`, shares from 0 to 1. */
export interface PeerPathsReport {
  /** In the order of preference. */
  readonly ways: readonly {
    readonly name: string;
    readonly isUsed: boolean;
    /** Whether it could carry a datagram at once. */
    readonly isReady: boolean;
    readonly roundTripMs: number | undefined;
    readonly lossShare: number;
    readonly bytesPerSecond: number;
  }[];
  /** The latest last, each with how long ago it was. */
  readonly decisions: readonly { readonly agoMs: number; readonly text: string }[];
}
