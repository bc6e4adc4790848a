/**
 * One packet on its way through a live tunnel, place by place, as data: what `warren trace --json` prints (docs/trace.md).
 * Everything in it was captured, or answered by the kernel or the tunnel when asked.
 */
import type { PacketChange } from "../packet/difference.ts";
import type { PacketField } from "../packet/dissection.ts";
import type { OuterMessage } from "./outer-datagram.ts";
import type { Direction } from "./packet-matcher.ts";
import type { PeerChoice } from "./tunnel-peers.ts";

/** Bytes as they were captured somewhere, perhaps cut. */
export interface Sighting {
  readonly device: string;
  /** Milliseconds since 1970, with a fraction. */
  readonly at: number;
  readonly bytes: Uint8Array;
  /** How many it were on the wire. */
  readonly length: number;
}

/** What the kernel answers, asked for the way to a packet's destination. */
export interface RouteDecision {
  readonly destination: string;
  readonly matches: string;
  readonly prefix: number;
  readonly kind: string;
  readonly device: string | null;
  readonly via: string | null;
  readonly source: string | null;
}

export interface Carrier {
  readonly sighting: Sighting;
  readonly source: string;
  readonly destination: string;
  /** Headers of IP and UDP before the first message. */
  readonly headerBytes: number;
  readonly message: OuterMessage;
  /** How many messages share the packet. */
  readonly sharedBy: number;
}

export interface Journey {
  readonly kind: "packet";
  /** From 1. */
  readonly number: number;
  readonly direction: Direction;
  /** What it is in words, such as `ICMP echo request 10.8.0.2 > 8.8.8.8`. */
  readonly title: string;
  readonly inside: Sighting;
  readonly fields: readonly PacketField[];
  readonly route: RouteDecision | undefined;
  readonly peer: PeerChoice | undefined;
  /** The message that carried it, where one was seen that fits. */
  readonly carrier: Carrier | undefined;
  /** How many messages fitted: with more than one, the match is by order alone. */
  readonly candidates: number;
  /** Why there is no carrier to look for. */
  readonly isSuperPacket: boolean;
  /** The echo request it answers, if that was seen: after how long, and what is different. */
  readonly answers:
    | { readonly number: number; readonly afterMs: number; readonly changes: readonly PacketChange[] }
    | undefined;
}

/** A message that carries no packet: of a handshake, or a keepalive. */
export interface LoneMessage {
  readonly kind: "message";
  readonly number: number;
  readonly direction: Direction;
  readonly carrier: Carrier;
}

/** From here on everything is seen. */
export interface TraceBegin {
  readonly kind: "begin";
  readonly device: string;
}

export interface TraceSummary {
  readonly kind: "end";
  readonly seconds: number;
  readonly points: readonly {
    readonly side: "inside" | "outside";
    readonly device: string;
    /** Packets that passed, and how many of them the capture had no room for. */
    readonly seen: number;
    readonly dropped: number;
  }[];
  /** Packets taken apart and shown; those that were counted only; shown ones whose message was found. */
  readonly shown: number;
  readonly passedOver: number;
  readonly matched: number;
  readonly pcap: { readonly file: string; readonly packets: number; readonly bytes: number } | undefined;
}

export type TraceEvent = TraceBegin | Journey | LoneMessage | TraceSummary;
