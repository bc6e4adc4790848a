/**
 * The port to cryptography: the few primitives WireGuard is made of (whitepaper §5.4), as an interface, so that the
 * protocol above it stays pure and every implementation passes one suite. Lengths are fixed by the protocol; callers
 * keep to them. These serve handshakes, which may allocate; data messages are sealed elsewhere.
 */

/** What needs no elliptic curve. Nothing here keeps or wipes its arguments. */
export interface SymmetricPrimitives {
  /** BLAKE2s (RFC 7693), 32 bytes out, over the parts in order: the paper's HASH. */
  hash(...parts: readonly Uint8Array[]): Uint8Array;
  /** Keyed BLAKE2s with 16 bytes out: the paper's MAC. The key has at most 32 bytes. */
  mac(key: Uint8Array, message: Uint8Array): Uint8Array;
  /** The paper's KDF, made of HMAC (RFC 2104) over BLAKE2s: outputs of 32 bytes, out of a key of 32 and an input. */
  kdf(count: 1 | 2 | 3, key: Uint8Array, input: Uint8Array): Uint8Array[];
  /** ChaCha20-Poly1305 (RFC 8439 §2.8), a nonce of 12 bytes. The result is the ciphertext and its tag of 16 bytes. */
  seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Uint8Array;
  /** The plaintext, or `undefined` where the tag does not match. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Uint8Array | undefined;
  /** XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha §2), a nonce of 24 bytes. */
  xseal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Uint8Array;
  xopen(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Uint8Array | undefined;
}

export interface Primitives extends SymmetricPrimitives {
  /** The public point of a secret of 32 bytes (RFC 7748 §6.1). */
  publicKey(secret: Uint8Array): Uint8Array;
  /**
   * X25519 (RFC 7748 §5), which clamps the secret. `undefined` where the shared secret would be all zeros: the point
   * has low order, and whoever sent it would know the secret without knowing a key.
   */
  x25519(secret: Uint8Array, point: Uint8Array): Uint8Array | undefined;
}

export const tagLength = 16;

/** The nonce that a message counter stands for (whitepaper §5.4.6): four zero bytes, then 64 bits, little-endian. */
export function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  view.setUint32(4, counter % 0x1_0000_0000, true);
  view.setUint32(8, Math.floor(counter / 0x1_0000_0000), true);
  return nonce;
}
