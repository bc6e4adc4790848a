/**
 * The Internet checksum (RFC 1071) for those who build a packet now and then. The packet path has kernels for it.
 */
import { Ipv4, Ipv6, readUint16 } from "./ip.ts";

/** The folded sum of the big-endian words of `bytes` and of `initial`; an odd last byte is followed by a zero. */
export function onesComplementSum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += readUint16(bytes, at);
  if (bytes.length % 2 === 1) sum += bytes[bytes.length - 1] << 8;
  while (sum > 0xffff) sum = (sum % 0x1_0000) + Math.floor(sum / 0x1_0000);
  return sum;
}

/** What belongs into the checksum field, which must be zero in `bytes`. */
export function checksum(bytes: Uint8Array, initial = 0): number {
  return 0xffff ^ onesComplementSum(bytes, initial);
}

/**
 * The folded sum of the pseudo-header that TCP, UDP and ICMPv6 include: RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for IPv6.
 * `length` is that of the header and payload that follow it.
 */
export function pseudoHeaderSum(packet: Uint8Array, protocol: number, length: number): number {
  const addresses =
    packet[0] >> 4 === 6
      ? packet.subarray(Ipv6.source, Ipv6.source + 32)
      : packet.subarray(Ipv4.source, Ipv4.source + 8);
  return onesComplementSum(addresses, protocol + length);
}
