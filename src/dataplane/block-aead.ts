/**
 * The fastest provider: OpenSSL's ChaCha20 and Poly1305 block functions. One pass of ChaCha20 from block 0 over 64 zero
 * bytes and the text makes the Poly1305 key (RFC 8439 §2.6) and the ciphertext (§2.4, from block 1) together: four
 * foreign calls a packet where the EVP interface takes as many and 59% longer (docs/decisions/).
 *
 * Hot path.
 */
import type { Address } from "../os/libc.ts";
import type { BlockFunctions } from "../os/openssl.ts";
import type { Kernels } from "../packet/kernels.ts";
import { type AeadResources, aeadLead, type PacketAead, tagLength } from "./packet-aead.ts";

// In the scratch: the counter block, the Poly1305 state (OpenSSL's opaque poly1305_context is under 256 bytes), and
// room to save what follows a message and to compute its tag.
const counterBlock = 0;
const state = 64;
const saved = 384;
const computed = 448;

export class BlockAead implements PacketAead {
  readonly name = "block";
  readonly #functions: BlockFunctions;
  readonly #kernels: Kernels;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #base: Address;
  readonly #keys: Address;
  readonly #scratch: number;

  constructor(functions: BlockFunctions, { arena, kernels, scratch, keys }: AeadResources) {
    this.#functions = functions;
    this.#kernels = kernels;
    this.#keys = keys.base;
    this.#words = new Int32Array(arena.buffer);
    this.#bytes = new Uint8Array(arena.buffer);
    this.#base = arena.base;
    this.#scratch = scratch;
    this.#bytes.fill(0, scratch, scratch + computed + tagLength); // the counter block begins at block 0 and stays so
  }

  seal(key: number, low: number, high: number, text: number, length: number): void {
    const base = this.#base;
    this.#kernels.zero(text - aeadLead, aeadLead);
    this.#cipher(key, low, high, text, text, length);
    this.#kernels.poly1305Tail(text, length);
    this.#authenticate(text - aeadLead, text, length, base + text + length);
  }

  open(key: number, low: number, high: number, sealed: number, text: number, length: number): boolean {
    const kernels = this.#kernels;
    const tag = sealed + length;
    const scratch = this.#scratch;
    // Poly1305's padding and lengths are laid out over the tag and up to 15 bytes of the message behind it.
    kernels.copy(scratch + saved, tag, 2 * tagLength);
    kernels.zero(sealed - aeadLead, aeadLead);
    this.#cipher(key, low, high, sealed, text, length);
    kernels.poly1305Tail(sealed, length);
    this.#authenticate(text - aeadLead, sealed, length, this.#base + scratch + computed);
    kernels.copy(tag, scratch + saved, 2 * tagLength);
    return kernels.tagsEqual(scratch + saved, scratch + computed) === 1;
  }

  [Symbol.dispose](): void {
    this.#bytes.fill(0, this.#scratch, this.#scratch + computed + tagLength);
  }

  #cipher(key: number, low: number, high: number, from: number, to: number, length: number): void {
    const base = this.#base;
    const counter = (this.#scratch + counterBlock) >> 2;
    this.#words[counter + 2] = low;
    this.#words[counter + 3] = high;
    this.#functions.chacha20(
      base + to - aeadLead,
      base + from - aeadLead,
      length + aeadLead,
      this.#keys + key,
      base + this.#scratch + counterBlock,
    );
  }

  #authenticate(key: number, sealed: number, length: number, tag: Address): void {
    const functions = this.#functions;
    const base = this.#base;
    const context = base + this.#scratch + state;
    functions.poly1305Init(context, base + key);
    functions.poly1305Update(context, base + sealed, ((length + 15) & ~15) + tagLength);
    functions.poly1305Final(context, tag);
  }
}
