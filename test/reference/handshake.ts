/**
 * The four messages of WireGuard as the whitepaper, §5.4, writes them: one equation a line, in its own letters, on
 * primitives that share nothing with `src/` but OpenSSL's and noble's ciphers. Both sides at once: it is told all secrets.
 */
import { createCipheriv } from "node:crypto";
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { slowBlake2s, slowHmac } from "./blake2s.ts";
import { slowX25519 } from "./x25519.ts";

export interface Secrets {
  /** Static private keys of initiator and responder. */
  readonly Si: Uint8Array;
  readonly Sr: Uint8Array;
  /** Ephemeral private keys. */
  readonly Ei: Uint8Array;
  readonly Er: Uint8Array;
  /** The preshared key. */
  readonly Q: Uint8Array;
  /** Indices. */
  readonly Ii: number;
  readonly Ir: number;
  readonly timestamp: Uint8Array;
}

export interface Transcript {
  readonly initiation: Uint8Array;
  readonly response: Uint8Array;
  /** Initiator to responder, and back. */
  readonly Ti: Uint8Array;
  readonly Tr: Uint8Array;
}

const empty = new Uint8Array(0);
const ascii = (text: string) => new TextEncoder().encode(text);
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
const hash = (...parts: Uint8Array[]) => slowBlake2s(join(...parts));
const mac = (key: Uint8Array, input: Uint8Array) => slowBlake2s(input, { key, length: 16 });
const dh = slowX25519;
const basePoint = Uint8Array.of(9, ...new Uint8Array(31));
export const pub = (secret: Uint8Array): Uint8Array => dh(secret, basePoint);
const u32 = (n: number) => Uint8Array.of(n, n >>> 8, n >>> 16, n >>> 24);

function kdf(n: number, key: Uint8Array, input: Uint8Array): Uint8Array[] {
  const t0 = slowHmac(key, input);
  const t = [slowHmac(t0, Uint8Array.of(1))];
  while (t.length < n) t.push(slowHmac(t0, join(t[t.length - 1], Uint8Array.of(t.length + 1))));
  return t;
}

export function aead(key: Uint8Array, counter: number, plaintext: Uint8Array, ad: Uint8Array): Uint8Array {
  const nonce = join(new Uint8Array(4), u32(counter), u32(Math.floor(counter / 2 ** 32)));
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
  cipher.setAAD(ad, { plaintextLength: plaintext.length });
  return join(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}

export function transcript({ Si, Sr, Ei, Er, Q, Ii, Ir, timestamp }: Secrets): Transcript {
  // §5.4.2
  let C = hash(ascii("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"));
  let H = hash(hash(C, ascii("WireGuard v1 zx2c4 Jason@zx2c4.com")), pub(Sr));
  let k: Uint8Array;
  [C] = kdf(1, C, pub(Ei));
  H = hash(H, pub(Ei));
  [C, k] = kdf(2, C, dh(Ei, pub(Sr)));
  const sealedStatic = aead(k, 0, pub(Si), H);
  H = hash(H, sealedStatic);
  [C, k] = kdf(2, C, dh(Si, pub(Sr)));
  const sealedTimestamp = aead(k, 0, timestamp, H);
  H = hash(H, sealedTimestamp);
  const initiation = join(u32(1), u32(Ii), pub(Ei), sealedStatic, sealedTimestamp);

  // §5.4.3
  [C] = kdf(1, C, pub(Er));
  H = hash(H, pub(Er));
  [C] = kdf(1, C, dh(Er, pub(Ei)));
  [C] = kdf(1, C, dh(Er, pub(Si)));
  const [C3, tau, k3] = kdf(3, C, Q);
  H = hash(H, tau);
  const sealedNothing = aead(k3, 0, empty, H);
  const response = join(u32(2), u32(Ir), u32(Ii), pub(Er), sealedNothing);

  const [Ti, Tr] = kdf(2, C3, empty); // §5.4.5
  return { initiation: macs(initiation, pub(Sr)), response: macs(response, pub(Si)), Ti, Tr };
}

/** §5.4.4: appends mac1, and mac2 where there is a cookie. */
export function macs(message: Uint8Array, responder: Uint8Array, cookie?: Uint8Array): Uint8Array {
  const withMac1 = join(message, mac(hash(ascii("mac1----"), responder), message));
  return join(withMac1, cookie === undefined ? new Uint8Array(16) : mac(cookie, withMac1));
}

/** §5.4.7: the cookie of an address and port under a secret, and the reply that carries it. */
export function cookieReply(input: {
  secret: Uint8Array;
  nonce: Uint8Array;
  responder: Uint8Array;
  receiver: number;
  mac1: Uint8Array;
  address: Uint8Array;
  port: number;
}): { cookie: Uint8Array; reply: Uint8Array } {
  const cookie = mac(input.secret, join(input.address, Uint8Array.of(input.port >> 8, input.port & 255)));
  const key = hash(ascii("cookie--"), input.responder);
  const sealed = xchacha20poly1305(key, input.nonce, input.mac1).encrypt(cookie);
  return { cookie, reply: join(u32(3), u32(input.receiver), input.nonce, sealed) };
}

/** §5.4.6. */
export function data(key: Uint8Array, receiver: number, counter: number, padded: Uint8Array): Uint8Array {
  const counterBytes = join(u32(counter), u32(Math.floor(counter / 2 ** 32)));
  return join(u32(4), u32(receiver), counterBytes, aead(key, counter, padded, empty));
}
