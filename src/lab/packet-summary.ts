/** What an observer reads off a packet that passes by: the headers, and the WireGuard message in it. Pure. */
import { IpAddress } from "../base/address.ts";
import { Ipv4, Ipv6, Protocol, readUint16, Udp } from "../packet/ip.ts";
import { type MessageSummary, summariseMessage } from "../wireguard/message-summary.ts";

export interface PacketSummary {
  readonly source: string;
  readonly destination: string;
  /** The Internet protocol's number. */
  readonly protocol: number;
  /** What follows the IP header. */
  readonly body: Uint8Array;
}

/** Reads an IP packet without extension headers; `undefined` for anything else. */
export function summarisePacket(packet: Uint8Array): PacketSummary | undefined {
  const version = packet.length > 0 ? packet[0] >> 4 : 0;
  if (version === 4 && packet.length >= Ipv4.size) {
    const header = (packet[Ipv4.versionAndLength] & 15) * 4;
    return {
      source: addressAt(packet, Ipv4.source, 4),
      destination: addressAt(packet, Ipv4.destination, 4),
      protocol: packet[Ipv4.protocol],
      body: packet.subarray(header, readUint16(packet, Ipv4.totalLength)),
    };
  }
  if (version === 6 && packet.length >= Ipv6.size) {
    return {
      source: addressAt(packet, Ipv6.source, 16),
      destination: addressAt(packet, Ipv6.destination, 16),
      protocol: packet[Ipv6.nextHeader],
      body: packet.subarray(Ipv6.size, Ipv6.size + readUint16(packet, Ipv6.payloadLength)),
    };
  }
  return undefined;
}

/** Whether it asks for an echo or is one: types 8 and 0 of ICMP (RFC 792), 128 and 129 of ICMPv6 (RFC 4443 §4). */
export function echoKind({ protocol, body }: PacketSummary): "request" | "reply" | undefined {
  if (protocol !== Protocol.icmp && protocol !== Protocol.icmpv6) return undefined;
  const [request, reply] = protocol === Protocol.icmp ? [8, 0] : [128, 129];
  return body[0] === request ? "request" : body[0] === reply ? "reply" : undefined;
}

/** Whether it is UDP to this port. */
export function isUdpTo({ protocol, body }: PacketSummary, port: number): boolean {
  return protocol === Protocol.udp && body.length >= Udp.size && readUint16(body, Udp.destinationPort) === port;
}

/** Reads the WireGuard message of a UDP packet from or to `port`; `undefined` where there is none. */
export function summariseMessageIn(packet: Uint8Array, port: number): MessageSummary | undefined {
  const summary = summarisePacket(packet);
  if (summary === undefined || summary.protocol !== Protocol.udp || summary.body.length < Udp.size) return undefined;
  const { body } = summary;
  if (readUint16(body, Udp.sourcePort) !== port && readUint16(body, Udp.destinationPort) !== port) return undefined;
  return summariseMessage(body.subarray(Udp.size, readUint16(body, Udp.length)));
}

/** How many of these packets contain `needle`. */
export function countContaining(packets: readonly { readonly bytes: Uint8Array }[], needle: Uint8Array): number {
  return packets.filter(({ bytes }) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(needle))
    .length;
}

function addressAt(packet: Uint8Array, at: number, length: number): string {
  return new IpAddress(packet.subarray(at, at + length)).toString();
}
