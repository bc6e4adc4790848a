/**
 * One connection of `warren classic`, the teaching VPN: packets one after another in a TCP stream, no framing, and every
 * byte XORed with 0x42. That hides nothing from anybody: the key is in this file, and would be found without it.
 *
 * A connection holds two stretches of an arena: what has come in and is not yet a whole packet, and what waits to go
 * out. Both are of fixed size. Packets that find the second one full are dropped, whole, so that the stream stays intact.
 *
 * Hot path: everything here but the constructor.
 */
import type { Endpoint } from "../base/address.ts";
import type { Arena } from "../os/arena.ts";
import { errno, libc } from "../os/libc.ts";
import { Errno } from "../os/system-error.ts";
import { PacketBoundaries, type StreamFault } from "./packet-boundaries.ts";

const key = 0x42;
const keyWord = 0x4242_4242;

const receiveWindow = 192 * 1024; // the largest packet, less a byte, and 128 KiB to read at once
const sendQueue = 256 * 1024;
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
  }

  /** Whether something waits to be sent. */
  get isWaiting(): boolean {
    return this.#tail > this.#head;
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

  /** Has a packet of the arena sent with the next `flush`. False where the queue is full. */
  send(at: number, length: number): boolean {
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

  /** Encodes what waits in one pass and writes as much of it as the socket takes; returns the end, if there is one. */
  flush(): ClassicEnd | undefined {
    applyKey(this.#bytes, this.#words, this.#encoded, this.#tail);
    this.#encoded = this.#tail;
    if (this.#head === this.#tail) return undefined;
    const count = libc.write(this.fd, this.#base + this.#head, this.#tail - this.#head);
    if (count < 0) return isTransient(errno()) ? undefined : "connection-lost";
    this.#head += count;
    if (this.#head === this.#tail) this.#head = this.#encoded = this.#tail = this.#queue;
    return undefined;
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
