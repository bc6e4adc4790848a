/**
 * Finds packets in a byte stream that has no framing, as `warren classic` carries them: each begins where the one before
 * it ends, and its own header says how long it is (RFC 791 §3.1, RFC 8200 §3). Pure.
 *
 * A packet is at most 65,575 bytes long, so a window of fixed size always has room for the rest of one. Bytes that
 * cannot begin a packet are a fault of the whole stream: where the next packet begins is lost for good.
 *
 * Hot path: called once per packet, in place.
 */
import { Ipv4, Ipv6, readUint16 } from "../packet/ip.ts";

/** Why a stream can be read no further. */
export type StreamFault = "not-ip" | "length-lies";

/** The longest packet there is: an IPv6 header and the longest payload it can announce. */
export const largestPacket: number = Ipv6.size + 65_535;

export class PacketBoundaries {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  #next: number;
  #fill: number;
  #length = 0;
  #fault: StreamFault | undefined;

  /** Works in `size` bytes from `start` on, more than `largestPacket`. */
  constructor(bytes: Uint8Array, start: number, size: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = start + size;
    this.#next = start;
    this.#fill = start;
  }

  /** Where the stream's next bytes go. */
  get fill(): number {
    return this.#fill;
  }

  /** How many of them there is room for: never 0 once `next` has returned -1 without a fault. */
  get room(): number {
    return this.#end - this.#fill;
  }

  /** Takes note of bytes put at `fill`. */
  accept(count: number): void {
    this.#fill += count;
  }

  /** Where the next whole packet is, with its length in `length`; -1 where more bytes are needed or there is a fault. */
  next(): number {
    const at = this.#next;
    const available = this.#fill - at;
    const length = this.#fault === undefined && available > 0 ? this.#measure(at, available) : 0;
    if (length === 0 || length > available) {
      this.#compact();
      return -1;
    }
    this.#length = length;
    this.#next = at + length;
    return at;
  }

  get length(): number {
    return this.#length;
  }

  get fault(): StreamFault | undefined {
    return this.#fault;
  }

  /** Whether the stream stands between two packets. */
  get isAtBoundary(): boolean {
    return this.#next === this.#fill;
  }

  /** The length of the packet at `at`, or 0 where it is not known yet or there is a fault. */
  #measure(at: number, available: number): number {
    const bytes = this.#bytes;
    switch (bytes[at] >> 4) {
      case 4: {
        const header = (bytes[at + Ipv4.versionAndLength] & 15) * 4;
        if (header < Ipv4.size) return this.#fail("length-lies");
        if (available < Ipv4.totalLength + 2) return 0;
        const length = readUint16(bytes, at + Ipv4.totalLength);
        return length < header ? this.#fail("length-lies") : length;
      }
      case 6:
        if (available < Ipv6.payloadLength + 2) return 0;
        return Ipv6.size + readUint16(bytes, at + Ipv6.payloadLength);
      default:
        return this.#fail("not-ip");
    }
  }

  #fail(fault: StreamFault): 0 {
    this.#fault = fault;
    return 0;
  }

  /** Moves what is left to the start, so that there is room for all that may follow. */
  #compact(): void {
    if (this.#next === this.#start) return;
    this.#bytes.copyWithin(this.#start, this.#next, this.#fill);
    this.#fill = this.#start + this.#fill - this.#next;
    this.#next = this.#start;
  }
}
