/**
 * One connection of `warren classic`, the teaching VPN: packets one after another in a TCP stream, no framing, and every
 * byte XORed with 0x42. That hides nothing from anybody: the key is in this file, and would be found without it.
 *
 * A connection holds two stretches of an arena: what has come in and is not yet a whole packet, and what waits to go
 * out. Both are of fixed size. Packets that find the second one full are dropped, whole, so that the stream stays intact.
 *
 * The seed's own reader takes what one `read` returns for one packet. Whoever has not shown to be a warren is therefore
 * sent one packet at a time, with a pause after each in which to read it (docs/decisions/0015-pauses-for-the-naive-reader.md).
 *
 * Hot path: everything here but the constructor.
 */
import type { Endpoint } from "../base/address.ts";
import type { Arena } from "../os/arena.ts";
import { errno, libc } from "../os/libc.ts";
import { Errno } from "../os/system-error.ts";
import { greeting, isGreeting } from "./greeting.ts";
import { measurePacket, PacketBoundaries, type StreamFault } from "./packet-boundaries.ts";

const key = 0x42;
const keyWord = 0x4242_4242;

const receiveWindow = 192 * 1024; // the largest packet, less a byte, and 128 KiB to read at once
const sendQueue = 256 * 1024;
/** Between two packets to a reader that does not know where one ends. */
const pauseMs = 0.2;
/** Bytes that a connection takes in its arena. */
export const classicConnectionSize: number = receiveWindow + sendQueue;

/** Why a connection has ended. */
export type ClassicEnd = StreamFault | "hung-up" | "half-a-packet" | "connection-lost";

/** XORs the bytes from `from` up to `to`, four at a time where they are aligned. Decoding is the same. */
export function applyKey(bytes: Uint8Array, words: Int32Array, from: number, to: number): void {
  const firstWord = Math.min((from + 3) >> 2, to >> 2);
  const lastWord = to >> 2;
  let at = from;
  for (const end = Math.min(to, firstWord << 2); at < end; at++) bytes[at] ^= key;
  if (firstWord << 2 >= from) {
    for (let i = firstWord; i < lastWord; i++) words[i] ^= keyWord;
    at = Math.max(at, lastWord << 2);
  }
  for (; at < to; at++) bytes[at] ^= key;
}

export class ClassicConnection {
  readonly fd: number;
  readonly remote: Endpoint;
  /** Its place among the connections of its arena. */
  readonly slot: number;
  /** The packets that have come in. */
  readonly packets: PacketBoundaries;
  /** Packets that found the queue full. */
  dropped = 0;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #base: number;
  readonly #queue: number;
  #head: number;
  /** Up to here what waits is encoded. */
  #encoded: number;
  #tail: number;
  #isWarren = false;
  /** Until then nothing is sent to one that is no warren. */
  #pausedUntil = 0;

  /** Takes `classicConnectionSize` bytes at offset `at` of the arena. The descriptor is the caller's to close. */
  constructor(arena: Pick<Arena, "buffer" | "base">, at: number, slot: number, fd: number, remote: Endpoint) {
    this.fd = fd;
    this.remote = remote;
    this.slot = slot;
    this.#bytes = new Uint8Array(arena.buffer);
    this.#words = new Int32Array(arena.buffer);
    this.#base = arena.base;
    this.packets = new PacketBoundaries(this.#bytes, at, receiveWindow);
    this.#queue = at + receiveWindow;
    this.#head = this.#encoded = this.#tail = this.#queue;
    this.#bytes.set(greeting, this.#queue);
    this.#tail += greeting.length;
  }

  /** Whether something waits to be sent. */
  get isWaiting(): boolean {
    return this.#tail > this.#head;
  }

  /** When what waits may be sent: 0 for as soon as the socket takes it, else a time of the clock that `flush` is given. */
  get pausedUntil(): number {
    return this.#isWarren || this.#encoded > this.#head ? 0 : this.#pausedUntil;
  }

  /** Whether a packet that came in, at `at`, is the other side's greeting, and so none for the device. */
  takeGreeting(at: number, length: number): boolean {
    if (!isGreeting(this.#bytes, at, length)) return false;
    this.#isWarren = true;
    return true;
  }

  /** Reads what has come, once, and decodes it into `packets`; returns why the connection is at its end, if it is. */
  receive(): ClassicEnd | undefined {
    const { fill, room } = this.packets;
    const count = libc.read(this.fd, this.#base + fill, room);
    if (count > 0) {
      applyKey(this.#bytes, this.#words, fill, fill + count);
      this.packets.accept(count);
      return undefined;
    }
    if (count === 0) return this.packets.isAtBoundary ? "hung-up" : "half-a-packet";
    return isTransient(errno()) ? undefined : "connection-lost";
  }

  /**
   * Has a packet of the arena sent with the next `flush`. False where the queue is full, or its header tells another
   * length than it has, which would cost the reader all that follows.
   */
  send(at: number, length: number): boolean {
    if (measurePacket(this.#bytes, at, length) !== length) return false;
    const end = this.#queue + sendQueue;
    if (this.#tail + length > end) {
      if (this.#tail - this.#head + length > sendQueue) {
        this.dropped++;
        return false;
      }
      this.#compact();
    }
    this.#bytes.copyWithin(this.#tail, at, at + length);
    this.#tail += length;
    return true;
  }

  /**
   * Encodes what may go out in one pass and writes as much of it as the socket takes: all that waits, or one packet.
   * Returns the end, if there is one.
   */
  flush(now: number): ClassicEnd | undefined {
    const end = this.#isWarren ? this.#tail : this.#endOfFirst(now);
    applyKey(this.#bytes, this.#words, this.#encoded, end);
    this.#encoded = end;
    if (this.#head === end) return undefined;
    const count = libc.write(this.fd, this.#base + this.#head, end - this.#head);
    if (count < 0) return isTransient(errno()) ? undefined : "connection-lost";
    this.#head += count;
    if (this.#head === end) this.#pausedUntil = now + pauseMs;
    if (this.#head === this.#tail) this.#head = this.#encoded = this.#tail = this.#queue;
    return undefined;
  }

  /** Where the packet ends that is being sent, or is to be sent next; where it begins, in a pause. */
  #endOfFirst(now: number): number {
    if (this.#encoded > this.#head) return this.#encoded;
    if (now < this.#pausedUntil) return this.#head;
    const length = measurePacket(this.#bytes, this.#head, this.#tail - this.#head);
    return typeof length === "number" ? this.#head + length : this.#tail;
  }

  #compact(): void {
    this.#bytes.copyWithin(this.#queue, this.#head, this.#tail);
    this.#encoded -= this.#head - this.#queue;
    this.#tail -= this.#head - this.#queue;
    this.#head = this.#queue;
  }
}

function isTransient(errno: number): boolean {
  return errno === Errno.EAGAIN || errno === Errno.EINTR;
}
