/** The middle provider: OpenSSL's public EVP interface, where a build of Node does not export the block functions. */
import type { EvpFunctions } from "../os/openssl.ts";
import { type AeadResources, type PacketAead, tagLength } from "./packet-aead.ts";

const nonceLength = 12;
const EVP_CTRL_AEAD_GET_TAG = 16;
const EVP_CTRL_AEAD_SET_TAG = 17;

// In the scratch.
const nonce = 0;
const written = 16;

/**
 * A closure rather than a class, because the context's address does not fit a small integer: a constant of a closure
 * keeps its boxed number, where a field would be boxed anew for each of the calls.
 */
export function evpAead(evp: EvpFunctions, { arena, scratch, keys }: AeadResources): PacketAead | undefined {
  const context = evp.contextNew();
  const cipher = evp.chacha20Poly1305();
  if (context === 0 || cipher === 0) return undefined;
  const base = arena.base;
  const nonceAt = base + scratch + nonce;
  const writtenAt = base + scratch + written;
  const words = new Int32Array(arena.buffer);
  const nonceWord = (scratch + nonce) >> 2;
  if (evp.encryptInit(context, cipher, 0, 0, 0) !== 1) return undefined;

  const setNonce = (low: number, high: number) => {
    words[nonceWord] = 0;
    words[nonceWord + 1] = low;
    words[nonceWord + 2] = high;
  };

  return {
    name: "evp",
    seal(key, low, high, text, length) {
      setNonce(low, high);
      const at = base + text;
      evp.encryptInit(context, 0, 0, keys.base + key, nonceAt);
      evp.encryptUpdate(context, at, writtenAt, at, length);
      evp.encryptFinal(context, at + length, writtenAt);
      evp.control(context, EVP_CTRL_AEAD_GET_TAG, tagLength, at + length);
    },
    open(key, low, high, sealed, text, length) {
      setNonce(low, high);
      evp.decryptInit(context, 0, 0, keys.base + key, nonceAt);
      evp.control(context, EVP_CTRL_AEAD_SET_TAG, tagLength, base + sealed + length);
      evp.decryptUpdate(context, base + text, writtenAt, base + sealed, length);
      return evp.decryptFinal(context, base + text + length, writtenAt) === 1;
    },
    [Symbol.dispose]() {
      evp.contextFree(context); // OpenSSL erases the key it holds
      words.fill(0, nonceWord, nonceWord + nonceLength / 4);
    },
  };
}
