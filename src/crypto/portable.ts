/**
 * The symmetric primitives in plain JavaScript, from noble. `native.ts` takes from here what `node:crypto` does not
 * expose (keyed BLAKE2s, XChaCha20-Poly1305); the rest is its check in the suite that both must pass.
 */
import { chacha20poly1305, xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { blake2s } from "@noble/hashes/blake2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { type SymmetricPrimitives, tagLength } from "./primitives.ts";

export const portable: SymmetricPrimitives = {
  hash(...parts) {
    const state = blake2s.create();
    for (const part of parts) state.update(part);
    return state.digest();
  },

  mac(key, message) {
    return blake2s(message, { key, dkLen: 16 });
  },

  hmac(key, ...parts) {
    const state = hmac.create(blake2s, key);
    for (const part of parts) state.update(part);
    return state.digest();
  },

  seal(key, nonce, plaintext, associated) {
    return chacha20poly1305(key, nonce, associated).encrypt(plaintext);
  },

  open(key, nonce, sealed, associated) {
    return opened(chacha20poly1305(key, nonce, associated), sealed);
  },

  xseal(key, nonce, plaintext, associated) {
    return xchacha20poly1305(key, nonce, associated).encrypt(plaintext);
  },

  xopen(key, nonce, sealed, associated) {
    return opened(xchacha20poly1305(key, nonce, associated), sealed);
  },
};

/** noble throws on a wrong tag; a stranger's bytes are no exception here. */
function opened(cipher: { decrypt(sealed: Uint8Array): Uint8Array }, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < tagLength) return undefined;
  try {
    return cipher.decrypt(sealed);
  } catch {
    return undefined;
  }
}
