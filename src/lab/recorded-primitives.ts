/**
 * The primitives of a handshake, with a record of what went into the transcript hash: the protocol hashes its hash so far
 * together with what was said next (whitepaper §5.4), which is how such a call is known among others. The chaining key
 * and all other secrets pass through and are not kept; that the chaining key changed is counted. Pure.
 */
import { concatBytes, equalBytes } from "../base/bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { construction, identifier } from "../wireguard/constants.ts";

/** Something said, and the hash of all that was said up to and with it. */
export interface Mixed {
  readonly data: Uint8Array;
  readonly hash: Uint8Array;
  /** How often the chaining key had changed by then. */
  readonly chainings: number;
}

const text = new TextEncoder();

export class RecordedPrimitives implements Primitives {
  readonly mixed: Mixed[] = [];
  readonly mac: Primitives["mac"];
  readonly seal: Primitives["seal"];
  readonly open: Primitives["open"];
  readonly xseal: Primitives["xseal"];
  readonly xopen: Primitives["xopen"];
  readonly publicKey: Primitives["publicKey"];
  readonly x25519: Primitives["x25519"];
  readonly #inner: Primitives;
  #chainings = 0;
  #chainKey: Uint8Array = new Uint8Array(0);

  constructor(inner: Primitives) {
    this.#inner = inner;
    const { mac, seal, open, xseal, xopen, publicKey, x25519 } = inner;
    this.mac = mac;
    this.seal = seal;
    this.open = open;
    this.xseal = xseal;
    this.xopen = xopen;
    this.publicKey = publicKey;
    this.x25519 = x25519;
  }

  hash(...parts: readonly Uint8Array[]): Uint8Array {
    const result = this.#inner.hash(...parts);
    const [first, second] = parts;
    const last = this.mixed.at(-1)?.hash;
    if (parts.length === 1 && equalBytes(first, text.encode(construction))) this.#start(result);
    else if (second !== undefined && equalBytes(second, text.encode(identifier))) this.#mix(second, result);
    else if (second !== undefined && last !== undefined && equalBytes(first, last)) this.#mix(second, result);
    return result;
  }

  /** What is derived from the chaining key is, first of all, the next chaining key. */
  kdf(count: 1 | 2 | 3, key: Uint8Array, input: Uint8Array): Uint8Array[] {
    const outputs = this.#inner.kdf(count, key, input);
    if (equalBytes(key, this.#chainKey)) {
      this.#chainKey = Uint8Array.from(outputs[0]);
      this.#chainings++;
    }
    return outputs;
  }

  #start(chainKey: Uint8Array): void {
    this.mixed.length = 0;
    this.#chainKey = Uint8Array.from(chainKey);
    this.#chainings = 0;
  }

  #mix(data: Uint8Array, hash: Uint8Array): void {
    this.mixed.push({ data: concatBytes(data), hash: concatBytes(hash), chainings: this.#chainings });
  }
}
