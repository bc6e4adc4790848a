/**
 * A queue from one thread to another in shared memory: single producer, single consumer, records of any length, no
 * allocation and no lock. A ring that is full refuses the record; what that means is the producer's to count.
 *
 *     word 0          head: bytes ever written, modulo 2^32. The producer's.
 *     word 16         tail: bytes ever read, modulo 2^32. The consumer's, on a cache line of its own.
 *     from word 32    the records, each 8-byte aligned and never wrapped around the end: size, kind (its upper half
 *                     holds the bytes of padding), first, second as 32-bit words, then the payload
 *
 * Hot path: this runs once per handshake message or unsent packet, never per data packet of an established session.
 */
import { VpnError } from "../base/errors.ts";

const headWord = 0;
const tailWord = 16;
const dataWord = 32;
const recordHeader = 16;
/** Fills the end of the ring where the next record would not fit in one piece. */
const skip = 0;

/** Bytes a ring needs beside its records. */
export const ringOverhead: number = 4 * dataWord;

export class Ring {
  // The record that `next` moved to, or that `reserve` prepared.
  kind: number = 0;
  first: number = 0;
  second: number = 0;
  /** Byte offset of the payload in the shared memory. */
  payload: number = 0;
  length: number = 0;

  readonly #words: Int32Array;
  readonly #at: number;
  readonly #capacity: number;
  readonly #data: number;
  #reserved = 0;

  /** A ring over `ringOverhead + capacity` zeroed bytes from byte offset `at`; `capacity` is a power of two. */
  constructor(words: Int32Array, at: number, capacity: number) {
    if (capacity < 64 || (capacity & (capacity - 1)) !== 0 || at % 64 !== 0) {
      throw new VpnError("invalid-argument", "a ring has a power of two of bytes, at least 64, and is 64-byte aligned");
    }
    this.#words = words;
    this.#at = at >> 2;
    this.#capacity = capacity;
    this.#data = at + ringOverhead;
  }

  /**
   * Producer: makes room for a payload of `length` bytes and returns the offset to write it to, or -1 if the ring is
   * full. Nothing is visible to the consumer before `commit`.
   */
  reserve(length: number): number {
    const size = (recordHeader + length + 7) & ~7;
    const head = this.#words[this.#at + headWord];
    const free = this.#capacity - this.#used(head);
    const position = head & (this.#capacity - 1);
    const toEnd = this.#capacity - position;
    const gap = toEnd < size ? toEnd : 0;
    if (size + gap > free) return -1;
    if (gap > 0) {
      const record = (this.#data + position) >> 2;
      this.#words[record] = gap;
      this.#words[record + 1] = skip;
    }
    this.#reserved = gap;
    this.length = length;
    this.payload = this.#data + ((position + gap) & (this.#capacity - 1)) + recordHeader;
    return this.payload;
  }

  /** Producer: hands over the record whose payload was written where `reserve` said. `kind` is positive. */
  commit(kind: number, first: number, second: number): void {
    const record = (this.payload - recordHeader) >> 2;
    const size = (recordHeader + this.length + 7) & ~7;
    this.#words[record] = size;
    this.#words[record + 1] = kind | ((size - recordHeader - this.length) << 16);
    this.#words[record + 2] = first;
    this.#words[record + 3] = second;
    const head = this.#words[this.#at + headWord];
    Atomics.store(this.#words, this.#at + headWord, (head + this.#reserved + size) | 0);
  }

  /** Consumer: moves to the next record and fills the fields, or returns false if there is none. Then `release`. */
  next(): boolean {
    for (;;) {
      const tail = this.#words[this.#at + tailWord];
      const used = this.#used(undefined);
      if (used === 0) return false;
      const record = (this.#data + (tail & (this.#capacity - 1))) >> 2;
      const size = this.#words[record];
      const kind = this.#words[record + 1];
      if (size < 8 || size > used || (size & 7) !== 0) {
        throw new VpnError("worker-failed", `a ring in shared memory holds a record of ${size} bytes`);
      }
      if (kind === skip) {
        Atomics.store(this.#words, this.#at + tailWord, (tail + size) | 0);
        continue;
      }
      this.kind = kind & 0xffff;
      this.first = this.#words[record + 2];
      this.second = this.#words[record + 3];
      this.payload = (record << 2) + recordHeader;
      this.length = size - recordHeader - (kind >>> 16);
      this.#reserved = size;
      return true;
    }
  }

  /** Consumer: bytes of records not yet released, the current one included. */
  get waiting(): number {
    return this.#used(undefined);
  }

  /** Consumer: gives the current record's memory back to the producer. */
  release(): void {
    const tail = this.#words[this.#at + tailWord];
    Atomics.store(this.#words, this.#at + tailWord, (tail + this.#reserved) | 0);
  }

  #used(head: number | undefined): number {
    const from = Atomics.load(this.#words, this.#at + tailWord);
    const to = head ?? Atomics.load(this.#words, this.#at + headWord);
    const used = (to - from) | 0;
    if (used < 0 || used > this.#capacity) {
      throw new VpnError("worker-failed", `a ring in shared memory claims to hold ${used} bytes`);
    }
    return used;
  }
}
