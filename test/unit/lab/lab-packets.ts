/** IPv4 packets made for the lab's tests: with right header checksums, and nothing more right than that needs. */
import { IpAddress } from "../../../src/base/address.ts";
import { concatBytes } from "../../../src/base/bytes.ts";
import { checksum } from "../../../src/packet/checksum.ts";
import { Ipv4, Protocol, Tcp } from "../../../src/packet/ip.ts";

export interface Segment {
  readonly sequence: number;
  readonly flags?: number;
  readonly bytes?: Uint8Array;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** From 10.8.0.2 to 8.8.8.8. */
export function ipv4Packet(protocol: number, body: Uint8Array): Uint8Array {
  const packet = new Uint8Array(Ipv4.size + body.length);
  const view = new DataView(packet.buffer);
  packet[Ipv4.versionAndLength] = 0x45;
  view.setUint16(Ipv4.totalLength, packet.length);
  packet[Ipv4.timeToLive] = 64;
  packet[Ipv4.protocol] = protocol;
  packet.set(IpAddress.parse("10.8.0.2").bytes, Ipv4.source);
  packet.set(IpAddress.parse("8.8.8.8").bytes, Ipv4.destination);
  view.setUint16(Ipv4.checksum, checksum(packet.subarray(0, Ipv4.size)));
  packet.set(body, Ipv4.size);
  return packet;
}

export function tcpPacket({
  sequence,
  flags = 0x10,
  bytes,
  sourcePort = 40_000,
  destinationPort = 80,
}: Segment): Uint8Array {
  const header = new Uint8Array(Tcp.size);
  const view = new DataView(header.buffer);
  view.setUint16(Tcp.sourcePort, sourcePort);
  view.setUint16(Tcp.destinationPort, destinationPort);
  view.setUint32(Tcp.sequence, sequence);
  header[Tcp.dataOffset] = 5 << 4;
  header[Tcp.flags] = flags;
  return ipv4Packet(Protocol.tcp, concatBytes(header, bytes ?? new Uint8Array(0)));
}

export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
