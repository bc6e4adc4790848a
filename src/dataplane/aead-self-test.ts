/**
 * What a provider must show before a packet is trusted to it. The block functions are exported by Node's OpenSSL but
 * not promised by it: a build in which they mean something else must be found here, not on the wire.
 */
import { fromHex } from "../base/bytes.ts";
import type { PacketAead } from "./packet-aead.ts";

// Key and text begin as in RFC 8439 §2.8.2, whose vector has associated data where data messages have none; the answer
// is from node:crypto and @noble/ciphers, which agree. 53 bytes: no multiple of 16, so the padding is tested too.
const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
const low = 0x01234567;
const high = 0x89;
const text = new TextEncoder().encode("Ladies and Gentlemen of the class of 99: If I could o");
const sealedHex =
  "78fe68afd88e771581c8ff2d677fddc50cdedf46005e78247df2d81f9e7a3768b5c067899e51282bc5b134eb99d3d9d10a4cd41a7c" +
  "724c680f0c11b36d055d1065f1f20910";

/**
 * Whether the provider seals a known text as it must, opens it again, and refuses it forged. Uses 512
 * bytes at `at` of the arena, which is the provider's key memory too.
 */
export function passesSelfTest(aead: PacketAead, bytes: Uint8Array, at: number): boolean {
  const expected = fromHex(sealedHex) ?? new Uint8Array();
  const sealed = at + 128;
  const opened = at + 384;
  bytes.fill(0, at, at + 512);
  bytes.set(key, at);
  bytes.set(text, sealed);
  aead.seal(at, low, high, sealed, text.length);
  const matches = expected.every((byte, i) => bytes[sealed + i] === byte);
  const opens =
    aead.open(at, low, high, sealed, opened, text.length) && text.every((byte, i) => bytes[opened + i] === byte);
  bytes.set(expected, sealed);
  bytes[sealed + 3] ^= 1;
  const refuses = !aead.open(at, low, high, sealed, opened, text.length);
  bytes.fill(0, at, at + 512);
  return matches && opens && refuses;
}
