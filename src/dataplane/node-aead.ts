/**
 * The provider of last resort: `node:crypto`, which every Node has. Several times slower than the others, and the only
 * one that allocates.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { type AeadResources, type PacketAead, tagLength } from "./packet-aead.ts";

const keyLength = 32;
const algorithm = "chacha20-poly1305";
const options = { authTagLength: tagLength } as const;

export function nodeAead({ arena, keys }: AeadResources): PacketAead {
  const bytes = new Uint8Array(arena.buffer);
  const nonce = new Uint8Array(12);
  const nonceView = new DataView(nonce.buffer);
  const key = new Uint8Array(keyLength);

  const prepare = (from: number, low: number, high: number) => {
    key.set(keys.bytes.subarray(from, from + keyLength));
    nonceView.setUint32(4, low, true);
    nonceView.setUint32(8, high, true);
  };

  return {
    name: "node",
    seal(from, low, high, text, length) {
      prepare(from, low, high);
      const cipher = createCipheriv(algorithm, key, nonce, options);
      bytes.set(cipher.update(bytes.slice(text, text + length)), text);
      cipher.final();
      bytes.set(cipher.getAuthTag(), text + length);
    },
    open(from, low, high, sealed, text, length) {
      prepare(from, low, high);
      const end = sealed + length;
      const decipher = createDecipheriv(algorithm, key, nonce, options);
      decipher.setAuthTag(bytes.slice(end, end + tagLength));
      bytes.set(decipher.update(bytes.slice(sealed, end)), text);
      try {
        decipher.final();
        return true;
      } catch {
        return false; // the one way node:crypto has of saying that a tag does not match
      }
    },
    [Symbol.dispose]() {
      key.fill(0);
    },
  };
}
