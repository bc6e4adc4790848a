/** A ping made by hand, for where no kernel makes one. Pure. */
import type { IpAddress } from "../base/address.ts";
import { checksum } from "../packet/checksum.ts";
import { Ipv4, Protocol } from "../packet/ip.ts";

/** ICMP echo, RFC 792. */
const Echo = { size: 8, type: 0, checksum: 2, identifier: 4, sequence: 6, request: 8 } as const;
const timeToLive = 64;

/** An IPv4 packet with an echo request and `payload` in it. */
export function makeEchoRequest(
  source: IpAddress,
  destination: IpAddress,
  sequence: number,
  payload: Uint8Array,
): Uint8Array {
  const packet = new Uint8Array(Ipv4.size + Echo.size + payload.length);
  const view = new DataView(packet.buffer);
  packet[Ipv4.versionAndLength] = 0x45;
  view.setUint16(Ipv4.totalLength, packet.length);
  packet[Ipv4.timeToLive] = timeToLive;
  packet[Ipv4.protocol] = Protocol.icmp;
  packet.set(source.bytes, Ipv4.source);
  packet.set(destination.bytes, Ipv4.destination);
  view.setUint16(Ipv4.checksum, checksum(packet.subarray(0, Ipv4.size)));
  packet[Ipv4.size + Echo.type] = Echo.request;
  view.setUint16(Ipv4.size + Echo.sequence, sequence);
  packet.set(payload, Ipv4.size + Echo.size);
  view.setUint16(Ipv4.size + Echo.checksum, checksum(packet.subarray(Ipv4.size)));
  return packet;
}
