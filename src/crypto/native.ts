/**
 * The primitives from `node:crypto`, that is OpenSSL; the only file of this folder that imports from Node. All that is
 * made of BLAKE2s is our own, being many times faster than a call there, and XChaCha20-Poly1305, which Node does not
 * expose, comes from `portable.ts`.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
} from "node:crypto";
import { concatBytes, wipe } from "../base/bytes.ts";
import { hash, kdf, mac } from "./noise-hash.ts";
import { portable } from "./portable.ts";
import { type Primitives, tagLength } from "./primitives.ts";

// RFC 8410 §7 and §4: what stands before the 32 bytes of an X25519 key in PKCS #8 and in SubjectPublicKeyInfo.
const pkcs8Prefix = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20);
const spkiPrefix = Uint8Array.of(0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0);

const aead = "chacha20-poly1305";

export const native: Primitives = {
  hash,
  mac,
  kdf,
  xseal: portable.xseal,
  xopen: portable.xopen,

  seal(key, nonce, plaintext, associated) {
    const cipher = createCipheriv(aead, key, nonce, { authTagLength: tagLength });
    cipher.setAAD(associated, { plaintextLength: plaintext.length });
    return concatBytes(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
  },

  open(key, nonce, sealed, associated) {
    const length = sealed.length - tagLength;
    if (length < 0) return undefined;
    const decipher = createDecipheriv(aead, key, nonce, { authTagLength: tagLength });
    decipher.setAAD(associated, { plaintextLength: length });
    decipher.setAuthTag(sealed.subarray(length));
    const plaintext = decipher.update(sealed.subarray(0, length));
    try {
      return concatBytes(plaintext, decipher.final());
    } catch {
      return undefined;
    }
  },

  publicKey(secret) {
    return bytesOf(createPublicKey(privateKeyObject(secret)).export({ format: "der", type: "spki" }).subarray(-32));
  },

  x25519(secret, point) {
    const privateKey = privateKeyObject(secret);
    const key = Buffer.from(concatBytes(spkiPrefix, point));
    const publicKey = createPublicKey({ key, format: "der", type: "spki" });
    try {
      return bytesOf(diffieHellman({ privateKey, publicKey }));
    } catch {
      return undefined; // OpenSSL refuses to derive a secret of zeros (RFC 7748 §6.1), and has no other reason to fail
    }
  },
};

function privateKeyObject(secret: Uint8Array): KeyObject {
  const key = Buffer.from(concatBytes(pkcs8Prefix, secret).buffer);
  try {
    return createPrivateKey({ key, format: "der", type: "pkcs8" });
  } finally {
    wipe(key);
  }
}

/** A copy outside Node's buffer pool, so that wiping it wipes the secret, and nothing of it stays in the pool. */
function bytesOf(buffer: Buffer): Uint8Array {
  const bytes = Uint8Array.from(buffer);
  wipe(buffer);
  return bytes;
}
