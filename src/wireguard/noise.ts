/**
 * The symmetric state of a Noise handshake (Noise specification §5.2, with WireGuard's HMAC-based KDF of whitepaper
 * §5.4): a running hash of all that was said and a chaining key of all secrets that were agreed. Named as the Noise
 * paper names things, so that `handshake.ts` reads like its message patterns.
 */
import { wipe } from "../base/bytes.ts";
import { keyLength, type PublicKey } from "../base/keys.ts";
import type { SymmetricPrimitives } from "../crypto/primitives.ts";
import { construction, identifier } from "./constants.ts";

const nothing = new Uint8Array(0);
const zeroNonce = new Uint8Array(12);
const constructionBytes = new TextEncoder().encode(construction);
const identifierBytes = new TextEncoder().encode(identifier);

export class SymmetricState implements Disposable {
  readonly #primitives: SymmetricPrimitives;
  #chainKey: Uint8Array;
  #hash: Uint8Array;
  /** Used once, with a nonce of zero, before the next `mixKey` replaces it. */
  #key: Uint8Array = new Uint8Array(keyLength);

  private constructor(primitives: SymmetricPrimitives, chainKey: Uint8Array, hash: Uint8Array) {
    this.#primitives = primitives;
    this.#chainKey = chainKey;
    this.#hash = hash;
  }

  /** The state both sides start from: they agree on the protocol and on who the responder is. */
  static initial(primitives: SymmetricPrimitives, responder: PublicKey): SymmetricState {
    const chainKey = primitives.hash(constructionBytes);
    const hash = primitives.hash(chainKey, identifierBytes);
    const state = new SymmetricState(primitives, chainKey, hash);
    state.mixHash(responder.bytes);
    return state;
  }

  /** Goes on from what `save` wrote. */
  static restore(primitives: SymmetricPrimitives, from: Uint8Array, at: number): SymmetricState {
    const hashAt = at + keyLength;
    return new SymmetricState(primitives, from.slice(at, hashAt), from.slice(hashAt, hashAt + keyLength));
  }

  /** Writes the chaining key and the hash, 64 bytes: all there is to it where the next step mixes in a key. */
  save(into: Uint8Array, at: number): void {
    into.set(this.#chainKey, at);
    into.set(this.#hash, at + keyLength);
  }

  clone(): SymmetricState {
    return new SymmetricState(this.#primitives, Uint8Array.from(this.#chainKey), Uint8Array.from(this.#hash));
  }

  mixHash(data: Uint8Array): void {
    this.#hash = this.#primitives.hash(this.#hash, data);
  }

  /** An ephemeral point: into the transcript and, because there is a preshared key, into the chaining key as well. */
  mixEphemeral(point: Uint8Array): void {
    this.mixHash(point);
    this.mixChainKey(point);
  }

  /** A shared secret that no cipher key is taken from. */
  mixChainKey(input: Uint8Array): void {
    const [chainKey] = this.#primitives.kdf(1, this.#chainKey, input);
    this.#chain(chainKey);
  }

  mixKey(input: Uint8Array): void {
    const [chainKey, key] = this.#primitives.kdf(2, this.#chainKey, input);
    this.#chain(chainKey);
    this.#rekey(key);
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [chainKey, data, key] = this.#primitives.kdf(3, this.#chainKey, input);
    this.#chain(chainKey);
    this.mixHash(data);
    wipe(data);
    this.#rekey(key);
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const sealed = this.#primitives.seal(this.#key, zeroNonce, plaintext, this.#hash);
    this.mixHash(sealed);
    return sealed;
  }

  /** The plaintext, or `undefined` where the other side does not know what we know. */
  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const plaintext = this.#primitives.open(this.#key, zeroNonce, sealed, this.#hash);
    if (plaintext !== undefined) this.mixHash(sealed);
    return plaintext;
  }

  /** The two keys of the session: initiator to responder, and back. */
  split(): [Uint8Array, Uint8Array] {
    const [forth, back] = this.#primitives.kdf(2, this.#chainKey, nothing);
    return [forth, back];
  }

  [Symbol.dispose](): void {
    wipe(this.#chainKey, this.#key, this.#hash);
  }

  #chain(chainKey: Uint8Array): void {
    wipe(this.#chainKey);
    this.#chainKey = chainKey;
  }

  #rekey(key: Uint8Array): void {
    wipe(this.#key);
    this.#key = key;
  }
}
