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

/** What begins a stream is either a packet's length, not known yet, or no packet at all. */
export type MeasuredLength = number | "unknown" | StreamFault;

/** The length of the packet at `at`, as its header has it, of which `available` bytes are there. */
export function measurePacket(bytes: Uint8Array, at: number, available: number): MeasuredLength {
  if (available === 0) return "unknown";
  switch (bytes[at] >> 4) {
    case 4: {
      const header = (bytes[at + Ipv4.versionAndLength] & 15) * 4;
      if (header < Ipv4.size) return "length-lies";
      if (available < Ipv4.totalLength + 2) return "unknown";
      const length = readUint16(bytes, at + Ipv4.totalLength);
      return length < header ? "length-lies" : length;
    }
    case 6:
      if (available < Ipv6.payloadLength + 2) return "unknown";
      return Ipv6.size + readUint16(bytes, at + Ipv6.payloadLength);
    default:
      return "not-ip";
  }
}

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
    const length = this.#fault ?? measurePacket(this.#bytes, at, available);
    if (typeof length === "string" || length > available) {
      if (length === "not-ip" || length === "length-lies") this.#fault = length;
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

  /** Moves what is left to the start, so that there is room for all that may follow. */
  #compact(): void {
    if (this.#next === this.#start) return;
    this.#bytes.copyWithin(this.#start, this.#next, this.#fill);
    this.#fill = this.#start + this.#fill - this.#next;
    this.#next = this.#start;
  }
}
