/**
 * Tells which message outside carries which packet inside. The two share no byte: what they share is the size (a packet
 * is padded to a multiple of 16 at most and sealed with 32 bytes more, whitepaper §5.4.6), the peer, and the order. So a
 * packet that passes alone is found for certain; of many of one size, each is taken for the next that fits. Pure.
 */
import { Data } from "../wireguard/messages.ts";

export type Direction = "out" | "in";

export interface Inside {
  readonly direction: Direction;
  /** Milliseconds of any clock that both sides are seen by. */
  readonly at: number;
  /** Bytes of the packet. */
  readonly length: number;
  /** The endpoint of the peer that it goes to or comes from, where that is known. */
  readonly endpoint: string | undefined;
}

export interface Outside {
  readonly direction: Direction;
  readonly at: number;
  /** Bytes of the data message. */
  readonly length: number;
  /** The other side's endpoint. */
  readonly endpoint: string;
}

export interface Match<I, O> {
  readonly inside: I;
  readonly outside: O | undefined;
  /** How many messages fitted. */
  readonly candidates: number;
}

/** A packet may wait for a handshake before it leaves, which is tried again every five seconds (whitepaper §6.4). */
const longestWayOutMs = 6000;
const longestWayInMs = 1000;
/** Clocks of captures on two interfaces are one, but a packet may be noted after it was handed on. */
const clockSlackMs = 0.5;
const patienceMs: Readonly<Record<Direction, number>> = { out: longestWayOutMs, in: longestWayInMs };
const longestList = 256;
const paddingMultiple = 16;

export class PacketMatcher<I extends Inside, O extends Outside> {
  #inside: I[] = [];
  #outside: O[] = [];

  addInside(packet: I): void {
    this.#inside.push(packet);
  }

  addOutside(message: O): void {
    this.#outside.push(message);
  }

  /**
   * What can be said by now: packets whose message is there, and those for which none will come any more. `now` is of
   * the same clock as theirs, and no later packets may be added that are older than it by more than a batch.
   */
  settle(now: number): Match<I, O>[] {
    const matches: Match<I, O>[] = [];
    const waiting: I[] = [];
    for (const inside of this.#inside) {
      const fitting = this.#outside.filter((outside) => fits(inside, outside));
      const [outside] = fitting;
      if (outside !== undefined) this.#outside.splice(this.#outside.indexOf(outside), 1);
      if (outside !== undefined || now - inside.at > patienceMs[inside.direction]) {
        matches.push({ inside, outside, candidates: fitting.length });
      } else waiting.push(inside);
    }
    this.#inside = waiting.slice(-longestList);
    this.#outside = this.#outside.filter(({ at }) => now - at <= longestWayOutMs).slice(-longestList);
    return matches;
  }

  /** All that still waits, unmatched: there is nothing more to come. */
  finish(): Match<I, O>[] {
    const matches = this.#inside.map((inside) => ({ inside, outside: undefined, candidates: 0 }));
    this.#inside = [];
    return matches;
  }
}

function fits(inside: Inside, outside: Outside): boolean {
  if (inside.direction !== outside.direction) return false;
  if (inside.endpoint !== undefined && inside.endpoint !== outside.endpoint) return false;
  const padded = outside.length - Data.overhead;
  // The last block is padded no further than to the MTU, which is the sender's.
  if (padded < inside.length || padded >= inside.length + paddingMultiple) return false;
  const wayMs = inside.direction === "out" ? outside.at - inside.at : inside.at - outside.at;
  return wayMs >= -clockSlackMs && wayMs <= patienceMs[inside.direction];
}
