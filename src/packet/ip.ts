/**
 * The headers of IP, TCP and UDP as offsets in bytes from the header's first. All numbers in them are in network order.
 */

/** Internet header, RFC 791 §3.1. */
export const Ipv4 = {
  size: 20,
  versionAndLength: 0,
  typeOfService: 1,
  totalLength: 2,
  identification: 4,
  flagsAndOffset: 6,
  timeToLive: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
} as const;

/** IPv6 header, RFC 8200 §3. */
export const Ipv6 = {
  size: 40,
  versionAndClass: 0,
  payloadLength: 4,
  nextHeader: 6,
  hopLimit: 7,
  source: 8,
  destination: 24,
} as const;

/** TCP header, RFC 9293 §3.1. */
export const Tcp = {
  size: 20,
  sourcePort: 0,
  destinationPort: 2,
  sequence: 4,
  acknowledgement: 8,
  dataOffset: 12,
  flags: 13,
  window: 14,
  checksum: 16,
  urgentPointer: 18,
} as const;

/** UDP header, RFC 768. */
export const Udp = { size: 8, sourcePort: 0, destinationPort: 2, length: 4, checksum: 6 } as const;

/** Assigned Internet Protocol Numbers (IANA), which IPv6 uses for its extension headers as well. */
export const Protocol = {
  hopByHop: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  authentication: 51,
  icmpv6: 58,
  destinationOptions: 60,
} as const;

/** A 16-bit number in network order. */
export function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}
