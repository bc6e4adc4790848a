/**
 * Hot path: lowers the largest segment size (MSS) that a TCP SYN or SYN-ACK announces, so that whoever receives it sends
 * nothing that would not fit the tunnel. Done to a packet of any host, so it works where the size of the tunnel is known
 * to this machine alone, and where no ICMP arrives.
 *
 * Every other packet costs three bytes read. The checksum is updated by the difference (RFC 1624), so a packet that came
 * with a wrong one leaves with a wrong one. A SYN without the option, which stands for 536 bytes in IPv4 and 1,220 in
 * IPv6 (RFC 9293 §3.7.1), stays as it is: there is no room to add one.
 */
import { Ipv4, Ipv6, Protocol, readUint16, Tcp } from "./ip.ts";

const SYN = 2;
/** TCP options (RFC 9293 §3.2). */
const endOfOptions = 0;
const noOperation = 1;
const maximumSegmentSize = 2;
const mssOptionLength = 4;

/**
 * Looks at the packet of `length` bytes at `at`, which has a whole IP header and is complete with its checksums, and
 * lets it announce no more than fits a packet of `largest` bytes: less by 40 for IPv4, by 60 for IPv6, options not
 * counted (RFC 6691 §2). Returns whether it was changed.
 */
export function clampMss(bytes: Uint8Array, at: number, length: number, largest: number): boolean {
  const isIpv4 = bytes[at] >> 4 === 4;
  const transport = isIpv4 ? findTcp4(bytes, at, length) : findTcp6(bytes, at, length);
  if (transport < 0) return false;
  const limit = largest - Tcp.size - (isIpv4 ? Ipv4.size : Ipv6.size);
  return limit > 0 && lowerOption(bytes, transport, at + length, limit);
}

/** Where the header of a SYN begins; -1 where the packet is another. */
function findTcp4(bytes: Uint8Array, at: number, length: number): number {
  if (bytes[at + Ipv4.protocol] !== Protocol.tcp) return -1;
  const transport = at + (bytes[at] & 15) * 4;
  if (transport + Tcp.size > at + length || (bytes[transport + Tcp.flags] & SYN) === 0) return -1;
  return (readUint16(bytes, at + Ipv4.flagsAndOffset) & 0x1fff) === 0 ? transport : -1;
}

/** The same, behind the extension headers that may precede it (RFC 8200 §4, RFC 4302 §2.2). */
function findTcp6(bytes: Uint8Array, at: number, length: number): number {
  const end = at + length;
  let protocol = bytes[at + Ipv6.nextHeader];
  let transport = at + Ipv6.size;
  while (protocol !== Protocol.tcp) {
    if (transport + 8 > end) return -1;
    const units = bytes[transport + 1];
    let size = (units + 1) * 8;
    if (protocol === Protocol.fragment) {
      if ((readUint16(bytes, transport + 2) & 0xfff8) !== 0) return -1;
      size = 8;
    } else if (protocol === Protocol.authentication) size = (units + 2) * 4;
    else if (
      protocol !== Protocol.hopByHop &&
      protocol !== Protocol.routing &&
      protocol !== Protocol.destinationOptions
    ) {
      return -1;
    }
    protocol = bytes[transport];
    transport += size;
  }
  if (transport + Tcp.size > end || (bytes[transport + Tcp.flags] & SYN) === 0) return -1;
  return transport;
}

/** Walks the options of the TCP header at `tcp`, none of which reaches past `end`. */
function lowerOption(bytes: Uint8Array, tcp: number, end: number, limit: number): boolean {
  const last = Math.min(end, tcp + (bytes[tcp + Tcp.dataOffset] >> 4) * 4);
  let option = tcp + Tcp.size;
  while (option + 1 < last) {
    const kind = bytes[option];
    if (kind === endOfOptions) return false;
    if (kind === noOperation) {
      option++;
      continue;
    }
    const size = bytes[option + 1];
    if (size < 2 || option + size > last) return false;
    if (kind === maximumSegmentSize && size === mssOptionLength) {
      if (readUint16(bytes, option + 2) <= limit) return false;
      replaceWord(bytes, tcp, option + 2, limit);
      return true;
    }
    option += size;
  }
  return false;
}

/** Writes a 16-bit value at `place` and mends the sum of the TCP header at `tcp`: RFC 1624 §3, equation 3. */
function replaceWord(bytes: Uint8Array, tcp: number, place: number, value: number): void {
  let before = readUint16(bytes, place);
  let after = value;
  bytes[place] = value >> 8;
  bytes[place + 1] = value & 0xff;
  if (((place - tcp) & 1) === 1) {
    // The value lies across two words, as a swapped one would add to them (RFC 1071 §2(B)).
    before = ((before & 0xff) << 8) | (before >> 8);
    after = ((after & 0xff) << 8) | (after >> 8);
  }
  const field = tcp + Tcp.checksum;
  let sum = (~readUint16(bytes, field) & 0xffff) + (~before & 0xffff) + after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
  bytes[field] = sum >> 8;
  bytes[field + 1] = sum & 0xff;
}
