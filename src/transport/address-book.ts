/**
 * Which connection has which tunnel address, learnt from the packets it sends. Pure, and of fixed size: each connection
 * may have a few addresses, such as one of IPv4, one of IPv6 and the link-local one that IPv6 gives itself.
 *
 * Hot path: asked once per packet. What was found last is looked at first, since packets come in runs.
 */
import { IpAddress } from "../base/address.ts";
import { Ipv4, Ipv6 } from "../packet/ip.ts";

export const addressesPerConnection = 4;

/** What came of looking at a packet's source. `owner` has it already. */
export type Claim =
  | { readonly kind: "own" }
  | { readonly kind: "learnt"; readonly address: IpAddress }
  | { readonly kind: "taken"; readonly address: IpAddress; readonly owner: number }
  | { readonly kind: "too-many" };

const own: Claim = { kind: "own" };
const tooMany: Claim = { kind: "too-many" };
const wordsPerAddress = 4;
/** ::ffff:0:0/96, under which IPv4 is kept (RFC 4291 §2.5.5.2). */
const mapped = 0xffff;

export class AddressBook {
  /** Four words for each address; all of them zero where there is none: that is the address `::`, which is nobody's. */
  readonly #words: Int32Array;
  readonly #wanted: Int32Array = new Int32Array(wordsPerAddress);
  #last = 0;

  constructor(connections: number) {
    this.#words = new Int32Array(connections * addressesPerConnection * wordsPerAddress);
  }

  /** The connection that has the destination of a packet, or -1. */
  destinationOf(bytes: Uint8Array, at: number): number {
    this.#read(bytes, at, Ipv4.destination, Ipv6.destination);
    const entry = this.#find();
    return entry < 0 ? -1 : Math.floor(entry / addressesPerConnection);
  }

  /** Sees to it that a connection has the source of a packet it sent, if nobody else has. The unspecified address is free to all. */
  claimSource(bytes: Uint8Array, at: number, connection: number): Claim {
    this.#read(bytes, at, Ipv4.source, Ipv6.source);
    const [a, b, c, d] = this.#wanted;
    if ((a | b) === 0 && d === 0 && (c === 0 || c === mapped)) return own;
    const entry = this.#find();
    if (entry >= 0) {
      const owner = Math.floor(entry / addressesPerConnection);
      return owner === connection ? own : { kind: "taken", address: this.#address(), owner };
    }
    for (let i = 0; i < addressesPerConnection; i++) {
      const free = (connection * addressesPerConnection + i) * wordsPerAddress;
      if (this.#words.subarray(free, free + wordsPerAddress).some((word) => word !== 0)) continue;
      this.#words.set(this.#wanted, free);
      return { kind: "learnt", address: this.#address() };
    }
    return tooMany;
  }

  /** Forgets what a connection has. */
  release(connection: number): void {
    const size = addressesPerConnection * wordsPerAddress;
    this.#words.fill(0, connection * size, (connection + 1) * size);
  }

  #read(bytes: Uint8Array, at: number, v4: number, v6: number): void {
    const wanted = this.#wanted;
    if (bytes[at] >> 4 === 4) {
      wanted[0] = wanted[1] = 0;
      wanted[2] = mapped;
      wanted[3] = word(bytes, at + v4);
    } else {
      for (let i = 0; i < wordsPerAddress; i++) wanted[i] = word(bytes, at + v6 + 4 * i);
    }
  }

  #find(): number {
    if (this.#matches(this.#last)) return this.#last;
    for (let entry = 0; entry * wordsPerAddress < this.#words.length; entry++) {
      if (!this.#matches(entry)) continue;
      this.#last = entry;
      return entry;
    }
    return -1;
  }

  #matches(entry: number): boolean {
    const words = this.#words;
    const wanted = this.#wanted;
    const at = entry * wordsPerAddress;
    return (
      words[at + 3] === wanted[3] &&
      words[at + 2] === wanted[2] &&
      words[at + 1] === wanted[1] &&
      words[at] === wanted[0] &&
      (wanted[0] | wanted[1] | wanted[2] | wanted[3]) !== 0
    );
  }

  #address(): IpAddress {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    for (const [i, value] of this.#wanted.entries()) view.setInt32(4 * i, value);
    const isV4 = this.#wanted[0] === 0 && this.#wanted[1] === 0 && this.#wanted[2] === mapped;
    return new IpAddress(isV4 ? bytes.subarray(12) : bytes);
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}
