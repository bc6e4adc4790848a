/**
 * Explicit congestion notification (RFC 3168) across the tunnel, as RFC 6040 has it for both of its ends: what a packet
 * says of itself goes onto the datagram that carries it ("normal mode", §4.1), and what routers have marked on that
 * datagram comes back onto the packet (§4.2). The rest of the byte, DSCP, crosses neither way.
 *
 * Hot path.
 */
import { Ipv4, Ipv6 } from "./ip.ts";

/** The two low bits of an IPv4 type of service or of an IPv6 traffic class (RFC 3168 §5). */
export const Ecn = { notCapable: 0, ect1: 1, ect0: 2, congested: 3 } as const;
const mask = 3;
const v6Shift = 4; // the traffic class begins in the middle of the first byte

/** RFC 6040 §4.2, figure 4, at 4 x inner + outer: what the packet is to say, or -1 where it must be dropped. */
const merged = Int8Array.of(0, 0, 0, -1, 1, 1, 1, 3, 2, 1, 2, 3, 3, 3, 3, 3);

/** What the IP packet at `at` says, one of `Ecn`: what its datagram is to say as well. */
export function readEcn(bytes: Uint8Array, at: number): number {
  return bytes[at] >> 4 === 4
    ? bytes[at + Ipv4.typeOfService] & mask
    : (bytes[at + Ipv6.versionAndClass + 1] >> v6Shift) & mask;
}

/**
 * Puts onto the IP packet at `at`, whose header is all there, what its datagram said when it arrived, `outer` being one
 * of `Ecn`. False where the packet must be dropped: a congested router has marked what cannot carry the mark.
 */
export function mergeEcn(bytes: Uint8Array, at: number, outer: number): boolean {
  const inner = readEcn(bytes, at);
  const ecn = merged[4 * inner + outer];
  if (ecn < 0) return false;
  if (ecn === inner) return true;
  if (bytes[at] >> 4 === 4) {
    bytes[at + Ipv4.typeOfService] ^= inner ^ ecn;
    adjustChecksum(bytes, at + Ipv4.checksum, ecn - inner);
  } else {
    bytes[at + Ipv6.versionAndClass + 1] ^= (inner ^ ecn) << v6Shift;
  }
  return true;
}

/** RFC 1624 §3, equation 3, for a word that has grown by `growth`; a checksum that was wrong stays as wrong. */
function adjustChecksum(bytes: Uint8Array, field: number, growth: number): void {
  let sum = (0xffff ^ ((bytes[field] << 8) | bytes[field + 1])) + growth;
  if (growth < 0) sum += 0xffff; // which is zero in ones' complement
  sum = 0xffff ^ ((sum & 0xffff) + (sum >> 16));
  bytes[field] = sum >> 8;
  bytes[field + 1] = sum & 255;
}
