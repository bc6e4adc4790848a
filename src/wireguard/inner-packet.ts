/**
 * The IP packet inside a data message, as far as WireGuard must understand it: how long it says it is, so that padding
 * can be cut off, and whom it is from and to. Hot path: allocation-free.
 */

/** Where the addresses lie: RFC 791 §3.1 and RFC 8200 §3. */
export const InnerPacket = {
  v4Source: 12,
  v4Destination: 16,
  v4HeaderLength: 20,
  v6Source: 8,
  v6Destination: 24,
  v6HeaderLength: 40,
} as const;

/**
 * The length in bytes of the IP packet at `at`, of which `length` bytes are there, padding included; -1 where it is
 * malformed: neither version 4 nor 6, or a header that says more than there is or less than itself.
 */
export function innerPacketLength(bytes: Uint8Array, at: number, length: number): number {
  const version = bytes[at] >>> 4;
  if (version === 4) {
    const headerLength = (bytes[at] & 15) * 4;
    const total = (bytes[at + 2] << 8) | bytes[at + 3];
    return headerLength >= InnerPacket.v4HeaderLength && total >= headerLength && total <= length ? total : -1;
  }
  if (version === 6 && length >= InnerPacket.v6HeaderLength) {
    const total = ((bytes[at + 4] << 8) | bytes[at + 5]) + InnerPacket.v6HeaderLength;
    return total <= length ? total : -1;
  }
  return -1;
}
