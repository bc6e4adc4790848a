/**
 * Prefixes as they were at one moment, 18 bytes each: a peer may have a hundred thousand, which as objects take ten times
 * that. Each is made into one when its turn comes.
 */
import { Cidr, IpAddress } from "../base/address.ts";

/** An entry: bytes of the address, its prefix length, and room for the address itself. */
const entrySize = 18;
const addressAt = 2;

export class PrefixList implements Iterable<Cidr> {
  #bytes = new Uint8Array(8 * entrySize);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Adds the prefix whose address is the first `size` bytes, 4 or 16, of these. */
  push(address: Uint8Array, size: number, prefix: number): void {
    const at = this.#length++ * entrySize;
    if (at === this.#bytes.length) {
      const larger = new Uint8Array(2 * at);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[at] = size;
    this.#bytes[at + 1] = prefix;
    for (let i = 0; i < size; i++) this.#bytes[at + addressAt + i] = address[i];
  }

  *[Symbol.iterator](): Iterator<Cidr> {
    for (let at = 0; at < this.#length * entrySize; at += entrySize) {
      const first = at + addressAt;
      const address = new IpAddress(this.#bytes.subarray(first, first + this.#bytes[at]));
      yield new Cidr(address, this.#bytes[at + 1]).network;
    }
  }
}
