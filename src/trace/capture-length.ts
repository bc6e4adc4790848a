/** How long a captured packet was before it was cut: its header says so (RFC 791 §3.1, RFC 8200 §3). Pure. */
import { Ipv4, Ipv6, readUint16 } from "../packet/ip.ts";

/** Never less than what was captured of it. */
export function captureLength(packet: Uint8Array): number {
  return Math.max(packet.length, announced(packet));
}

function announced(packet: Uint8Array): number {
  if (packet.length >= Ipv4.size && packet[0] >> 4 === 4) return readUint16(packet, Ipv4.totalLength);
  if (packet.length >= Ipv6.size && packet[0] >> 4 === 6) return Ipv6.size + readUint16(packet, Ipv6.payloadLength);
  return 0;
}
