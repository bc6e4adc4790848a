/**
 * Breaks a stream in which every byte was XORed with one key byte, from the bytes alone. Pure. Two ways lead to the key:
 * statistics (the commonest byte of network traffic is 0, and 0 XOR key is the key) and known plaintext (an IPv4 packet
 * begins with 0x45). A third proves it: under the right key the stream is a row of packets whose header checksums hold.
 */
import { onesComplementSum } from "../packet/checksum.ts";
import { Ipv4, readUint16 } from "../packet/ip.ts";

const byteValues = 256;
/** IPv4, and a header of five words: how nearly every packet begins. */
export const firstByte = 0x45;

export interface ByteCount {
  readonly byte: number;
  readonly count: number;
}

/** How often each value occurs, the commonest first; of equally common ones the lowest first. */
export function countBytes(bytes: Uint8Array): ByteCount[] {
  const counts = new Array<number>(byteValues).fill(0);
  for (const byte of bytes) counts[byte]++;
  return counts.map((count, byte) => ({ byte, count })).sort((a, b) => b.count - a.count || a.byte - b.byte);
}

/** The key, if the stream's first byte begins an IPv4 packet. */
export function keyFromFirstByte(bytes: Uint8Array): number {
  return bytes[0] ^ firstByte;
}

export function applyKey(bytes: Uint8Array, key: number): Uint8Array {
  return bytes.map((byte) => byte ^ key);
}

/** What a stream is under some key. */
export interface Reading {
  readonly key: number;
  /** IPv4 packets one after another, from the first byte on, as far as their lengths lead. */
  readonly packets: readonly Uint8Array[];
  /** Those of them that have a right header checksum. */
  readonly sound: readonly Uint8Array[];
  /** Bytes of the stream that lie in sound packets. */
  readonly explained: number;
}

/** Reads packets for as long as there are any. */
export function readPackets(stream: Uint8Array, key: number): Reading {
  const plain = applyKey(stream, key);
  const packets: Uint8Array[] = [];
  let at = 0;
  for (let length = packetLength(plain, at); length > 0; length = packetLength(plain, at)) {
    packets.push(plain.subarray(at, at + length));
    at += length;
  }
  const sound = packets.filter(hasRightChecksum);
  return { key, packets, sound, explained: sound.reduce((sum, { length }) => sum + length, 0) };
}

/** All 256 readings, the one that explains most first. */
export function tryEveryKey(stream: Uint8Array): Reading[] {
  const readings = Array.from({ length: byteValues }, (_, key) => readPackets(stream, key));
  return readings.sort((a, b) => b.explained - a.explained);
}

/** The length of the whole packet at `at`, or 0 where there is none (RFC 791 §3.1). */
function packetLength(bytes: Uint8Array, at: number): number {
  if (at + Ipv4.size > bytes.length || bytes[at] >> 4 !== 4) return 0;
  const header = (bytes[at] & 15) * 4;
  const length = readUint16(bytes, at + Ipv4.totalLength);
  return header < Ipv4.size || length < header || at + length > bytes.length ? 0 : length;
}

function hasRightChecksum(packet: Uint8Array): boolean {
  return onesComplementSum(packet.subarray(0, (packet[0] & 15) * 4)) === 0xffff;
}
