/**
 * A datagram link: one connection between two ends that carries datagrams whole or not at all, as UDP does for two
 * addresses. Below it may lie a TCP stream, TLS, a WebSocket, or memory (the reference, which can also lose, delay,
 * reorder, repeat and corrupt). What uses a link must not care which.
 *
 * A link never blocks and never collects without bound: what does not fit into its queue is dropped and counted, because
 * what travels inside repeats itself anyway. It protects nothing: that is the business of what is inside.
 */

/** What a UDP datagram over IPv4 can carry at most: 65,535 less the headers of IP and UDP. */
export const largestDatagram = 65_507;

/** Why a datagram was not sent. */
export const linkDrops = ["queue-full", "datagram-empty", "datagram-too-large", "link-closed"] as const;
export type LinkDrop = (typeof linkDrops)[number];

/** Why a link is no more. */
export type CloseReason =
  /** This end was told to. */
  | "closed-here"
  /** The other end ended it in good order. */
  | "closed-there"
  /** The network or the other end broke it off. */
  | "connection-lost"
  /** Nothing came or went for too long. */
  | "idle"
  /** The other end takes nothing any more. */
  | "stalled"
  /** The other end answered neither datagrams nor a sign of life. */
  | "unanswered"
  /** A frame was begun and never completed. */
  | "frame-late"
  /** A frame that no datagram can have. */
  | "frame-too-large"
  /** A WebSocket message that is no datagram. */
  | "not-a-datagram"
  /** Somebody else needed the place more. */
  | "crowded-out";

export interface LinkCounters {
  sentDatagrams: number;
  sentBytes: number;
  receivedDatagrams: number;
  receivedBytes: number;
  readonly dropped: Record<LinkDrop, number>;
}

/** Who uses a link. */
export interface LinkReceiver {
  /** A datagram has arrived. The bytes are the receiver's for the length of the call only. */
  datagram(bytes: Uint8Array): void;
  /** The link is no more, for the first and only time; nothing follows. */
  closed(reason: CloseReason): void;
}

export interface DatagramLink {
  /** The other end, for a reader: `192.0.2.1:443`. */
  readonly remote: string;
  readonly counters: LinkCounters;
  /** Says who receives. Until then nothing is taken from the connection; to be called once. */
  receive(receiver: LinkReceiver): void;
  /** Sends a copy of these bytes, or says why not. */
  send(datagram: Uint8Array): LinkDrop | undefined;
  /** Acts on every deadline that has passed by `now`; to be called about once a second. Early or repeated calls do no harm. */
  expire(now: number): void;
  /** Ends it at once, queued datagrams included. Again is harmless. */
  close(reason?: CloseReason): void;
}

/** What links allow. */
export interface LinkLimits {
  /** Bytes that may wait to be sent, frames' own bytes included. */
  readonly queueBytes: number;
  /** How long nothing may come or go. */
  readonly idleMs: number;
  /** How long a queue may stand still with something in it, and a frame stay incomplete. */
  readonly stallMs: number;
}

export const defaultLimits: LinkLimits = { queueBytes: 262_144, idleMs: 600_000, stallMs: 30_000 };

export function newCounters(): LinkCounters {
  const dropped = { "queue-full": 0, "datagram-empty": 0, "datagram-too-large": 0, "link-closed": 0 };
  return { sentDatagrams: 0, sentBytes: 0, receivedDatagrams: 0, receivedBytes: 0, dropped };
}

/** What every link checks of a datagram before it looks at its queue. */
export function refuse(datagram: Uint8Array, isClosed: boolean): LinkDrop | undefined {
  if (isClosed) return "link-closed";
  if (datagram.length === 0) return "datagram-empty";
  return datagram.length > largestDatagram ? "datagram-too-large" : undefined;
}

/** Counts what became of a datagram, and passes it on. */
export function countSent(counters: LinkCounters, length: number, drop: LinkDrop | undefined): LinkDrop | undefined {
  if (drop === undefined) {
    counters.sentDatagrams++;
    counters.sentBytes += length;
  } else counters.dropped[drop]++;
  return drop;
}

/** Watches whether anything happens, by looking at counters now and then instead of at a clock for each datagram. */
export class Stillness {
  #seen = -1;
  #since = 0;

  /** For how long this number has not changed, in milliseconds up to `now`. */
  of(activity: number, now: number): number {
    if (activity !== this.#seen) {
      this.#seen = activity;
      this.#since = now;
    }
    return now - this.#since;
  }
}
