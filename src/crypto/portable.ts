/**
 * The symmetric primitives in plain JavaScript, from noble. `native.ts` takes from here what `node:crypto` does not
 * expose (XChaCha20-Poly1305); the rest is its check in the suite that both must pass.
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

  kdf(count, key, input) {
    const secret = hmac(blake2s, key, input);
    const outputs: Uint8Array[] = [];
    for (let i = 1; i <= count; i++) {
      outputs.push(hmac(blake2s, secret, Uint8Array.of(...(outputs.at(-1) ?? []), i)));
    }
    return outputs;
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
