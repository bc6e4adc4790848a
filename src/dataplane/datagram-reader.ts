/**
 * Datagrams as they arrive: one recvmsg brings up to 64 of one sender and one size, when the kernel has joined them
 * (UDP_GRO, udp(7)).
 *
 * Hot path.
 */
import type { Arena } from "../os/arena.ts";
import { errno, libc } from "../os/libc.ts";
import { Errno } from "../os/system-error.ts";
import { aeadLead } from "./packet-aead.ts";

const maximumName = 28;
const controlCapacity = 128;

// In the scratch: struct msghdr, one entry of the I/O vector, the sender's address, control messages.
const messageHeader = 0;
const vector = 64;
const nameLength = 92; // an endpoint as endpoint-record.ts has it: the length, then the address
const name = 96;
const control = 128;
/** Bytes of arena that the reader needs beside the buffer. */
export const readerScratch: number = control + controlCapacity;
/** Bytes of arena for the buffer: the lead the cipher wants, and the most that one call brings. */
export const readerBuffer: number = aeadLead + 65_535 + 65;

const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const SOL_UDP = 17;
const UDP_GRO = 104;

export interface ReaderOptions {
  readonly arena: Arena;
  /** Offsets of `readerScratch` and `readerBuffer` bytes. */
  readonly scratch: number;
  readonly buffer: number;
}

export class DatagramReader {
  /** Where the first datagram lies, the bytes of all, and the bytes of each but the last, which may be shorter. */
  readonly data: number;
  length: number = 0;
  datagramLength: number = 0;
  /** Where the sender's address lies, 28 bytes at most; its length is in the word before, and here. */
  readonly name: number;
  nameLength: number = 0;
  readonly #arena: Arena;
  readonly #words: Int32Array;
  readonly #scratch: number;

  constructor({ arena, scratch, buffer }: ReaderOptions) {
    this.#arena = arena;
    this.#words = new Int32Array(arena.buffer);
    this.#scratch = scratch;
    this.name = scratch + name;
    // The first message's text, 16 bytes on, is then aligned to 16, and 64 bytes of lead fit before it.
    this.data = buffer + aeadLead;
    this.#pointer(scratch + messageHeader, arena.base + this.name);
    this.#pointer(scratch + messageHeader + 16, arena.base + scratch + vector);
    this.#words[(scratch + messageHeader + 24) >> 2] = 1;
    this.#pointer(scratch + messageHeader + 32, arena.base + scratch + control);
    this.#pointer(scratch + vector, arena.base + this.data);
    this.#words[(scratch + vector + 8) >> 2] = 65_535;
  }

  /**
   * Takes what one call brings.
   * @returns 1 with the fields filled, 0 if there is nothing, -1 if what came was cut off and is of no use.
   */
  read(fd: number): number {
    const header = this.#scratch + messageHeader;
    this.#words[(header + 8) >> 2] = maximumName;
    this.#words[(header + 40) >> 2] = controlCapacity;
    const length = libc.recvmsg(fd, this.#arena.base + header, MSG_DONTWAIT);
    if (length < 0) return errno() === Errno.EINTR ? this.read(fd) : 0;
    if ((this.#words[(header + 48) >> 2] & MSG_TRUNC) !== 0) return -1;
    this.length = length;
    this.nameLength = this.#words[(header + 8) >> 2];
    this.#words[(this.#scratch + nameLength) >> 2] = this.nameLength;
    this.datagramLength = this.#segmentLength() || length;
    return 1;
  }

  /** What UDP_GRO says of the datagrams' size, 0 if it is silent: then there is one. */
  #segmentLength(): number {
    const at = this.#scratch + control;
    const end = at + this.#words[(this.#scratch + messageHeader + 40) >> 2];
    for (let entry = at; entry + 16 <= end; ) {
      const length = this.#words[entry >> 2];
      if (length < 16) return 0;
      if (this.#words[(entry + 8) >> 2] === SOL_UDP && this.#words[(entry + 12) >> 2] === UDP_GRO) {
        return this.#words[(entry + 16) >> 2];
      }
      entry += (length + 7) & ~7;
    }
    return 0;
  }

  #pointer(at: number, address: number): void {
    this.#words[at >> 2] = address;
    this.#words[(at >> 2) + 1] = (address / 0x1_0000_0000) | 0;
  }
}
