/**
 * What a provider must show before a packet is trusted to it. The block functions are exported by Node's OpenSSL but
 * not promised by it: a build in which they mean something else must be found here, not on the wire.
 */
import { fromHex } from "../base/bytes.ts";
import type { PacketAead } from "./packet-aead.ts";

interface Vector {
  /** The key's bytes count up from here. */
  readonly key: number;
  /** The nonce's last 64 bits, as two little-endian words; the first 32 are zero, as WireGuard's are. */
  readonly low: number;
  readonly high: number;
  readonly text: string;
  /** Ciphertext and tag. */
  readonly sealed: string;
}

/**
 * RFC 8439's own vectors for the whole construction have associated data and another nonce's first word, which data
 * messages never do. So these are of its parts, the tags being what node:crypto and @noble/ciphers agree upon:
 */
const vectors: readonly Vector[] = [
  // The key, nonce, plaintext and ciphertext of §2.4.2, whose 114 bytes are no multiple of 16.
  {
    key: 0,
    low: 0x4a00_0000,
    high: 0,
    text:
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would " +
      "be it.",
    sealed:
      "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b3571639d624e65152ab" +
      "8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab77937365af90bbf74a35be6b40b8eedf2785e42" +
      "874d81db63fcb189a03121ae0ac72a3f1f36",
  },
  // The key and nonce of §2.6.2, where the one-time key is made: an empty text has a tag of it alone, as keepalives do.
  { key: 0x80, low: 0x0302_0100, high: 0x0706_0504, text: "", sealed: "923e3f4657b5afb4a83fc9ebd7b0a048" },
];

const keyLength = 32;
const tagLength = 16;

/**
 * Whether the provider seals known texts as it must, opens them again, and refuses them forged. Uses 512
 * bytes at `at` of the arena, which is the provider's key memory too.
 */
export function passesSelfTest(aead: PacketAead, bytes: Uint8Array, at: number): boolean {
  const passed = vectors.every((vector) => passes(aead, vector, bytes, at));
  bytes.fill(0, at, at + 512);
  return passed;
}

function passes(aead: PacketAead, { key, low, high, ...vector }: Vector, bytes: Uint8Array, at: number): boolean {
  const text = new TextEncoder().encode(vector.text);
  const expected = fromHex(vector.sealed) ?? new Uint8Array();
  const { length } = text;
  const sealed = at + 128;
  const opened = at + 384;
  const isAt = (place: number, wanted: Uint8Array) => wanted.every((byte, i) => bytes[place + i] === byte);
  bytes.fill(0, at, at + 512);
  for (let i = 0; i < keyLength; i++) bytes[at + i] = key + i;
  bytes.set(text, sealed);
  aead.seal(at, low, high, sealed, length);
  if (expected.length !== length + tagLength || !isAt(sealed, expected)) return false;
  if (!aead.open(at, low, high, sealed, opened, length) || !isAt(opened, text)) return false;
  bytes.set(expected, sealed);
  bytes[sealed + length + 3] ^= 1;
  return !aead.open(at, low, high, sealed, opened, length);
}
