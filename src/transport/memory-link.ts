/**
 * Two ends of a datagram link in one process: the reference for all others, and a bad network where one is wanted. Every
 * fault comes from the random numbers given, so that a run repeats.
 */
import type { Clock } from "./clock.ts";
import {
  type CloseReason,
  countSent,
  type DatagramLink,
  defaultLimits,
  type LinkCounters,
  type LinkDrop,
  type LinkLimits,
  type LinkReceiver,
  newCounters,
  refuse,
  Stillness,
} from "./datagram-link.ts";

/** What the network does to a datagram. Shares are between 0 and 1; a fault left out does not happen. */
export interface MemoryFaults {
  readonly loss?: number;
  readonly duplication?: number;
  /** One bit turned over: the most likely error, and the hardest to see. */
  readonly corruption?: number;
  readonly delayMs?: number;
  /** Up to so much is added to the delay of each, which reorders. */
  readonly jitterMs?: number;
}

export interface MemoryLinkOptions {
  readonly clock: Clock;
  /** Numbers from 0 up to 1. */
  readonly random: () => number;
  readonly faults?: MemoryFaults;
  readonly limits?: LinkLimits;
}

export class MemoryLink implements DatagramLink {
  readonly remote: string;
  readonly counters: LinkCounters = newCounters();
  readonly #options: MemoryLinkOptions;
  readonly #limits: LinkLimits;
  readonly #activity = new Stillness();
  readonly #other: () => MemoryLink;
  #receiver: LinkReceiver | undefined;
  #closed: CloseReason | undefined;
  /** What has arrived before anybody received. */
  #held: Uint8Array[] = [];
  #queuedBytes = 0;

  /** Both ends of a new link. */
  static pair(options: MemoryLinkOptions): [MemoryLink, MemoryLink] {
    const first: MemoryLink = new MemoryLink("memory:2", options, () => second);
    const second: MemoryLink = new MemoryLink("memory:1", options, () => first);
    return [first, second];
  }

  private constructor(remote: string, options: MemoryLinkOptions, other: () => MemoryLink) {
    this.remote = remote;
    this.#other = other;
    this.#options = options;
    this.#limits = options.limits ?? defaultLimits;
  }

  receive(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    const reason = this.#closed;
    queueMicrotask(() => {
      for (const datagram of this.#held.splice(0)) this.#deliver(datagram);
      if (reason !== undefined) receiver.closed(reason);
    });
  }

  send(datagram: Uint8Array): LinkDrop | undefined {
    const drop = refuse(datagram, this.#closed !== undefined) ?? this.#put(datagram);
    return countSent(this.counters, datagram.length, drop);
  }

  expire(now: number): void {
    const { sentDatagrams, receivedDatagrams } = this.counters;
    if (this.#activity.of(sentDatagrams + receivedDatagrams, now) >= this.#limits.idleMs) this.close("idle");
  }

  close(reason: CloseReason = "closed-here"): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#held = [];
    this.#options.clock.after(this.#options.faults?.delayMs ?? 0, () => this.#other().close("closed-there"));
    this.#receiver?.closed(reason);
  }

  #put(datagram: Uint8Array): LinkDrop | undefined {
    if (this.#queuedBytes + datagram.length > this.#limits.queueBytes) return "queue-full";
    const { random, faults = {} } = this.#options;
    const happens = (share = 0): boolean => share > 0 && random() < share;
    if (happens(faults.loss)) return undefined;
    const copies = happens(faults.duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const bytes = Uint8Array.from(datagram);
      if (happens(faults.corruption)) bytes[Math.floor(random() * bytes.length)] ^= 1 << Math.floor(random() * 8);
      this.#carry(bytes);
    }
    return undefined;
  }

  #carry(bytes: Uint8Array): void {
    const { clock, random, faults = {} } = this.#options;
    const jitterMs = faults.jitterMs === undefined ? 0 : faults.jitterMs * random();
    this.#queuedBytes += bytes.length;
    clock.after((faults.delayMs ?? 0) + jitterMs, () => this.#other().#deliver(bytes));
  }

  #deliver(bytes: Uint8Array): void {
    if (this.#closed !== undefined) return;
    if (this.#receiver === undefined) {
      this.#held.push(bytes);
      return;
    }
    this.#other().#queuedBytes -= bytes.length;
    this.counters.receivedDatagrams++;
    this.counters.receivedBytes += bytes.length;
    this.#receiver.datagram(bytes);
  }
}
