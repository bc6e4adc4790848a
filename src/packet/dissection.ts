/**
 * A packet taken apart for a reader: every byte of it belongs to a field, with its name and what it says. IPv4 and IPv6,
 * and in them ICMP, ICMPv6, UDP and TCP; what is cut off or none of these is shown as bytes. For lessons and traces, not
 * for the packet path.
 */
import { IpAddress } from "../base/address.ts";
import { toHex } from "../base/bytes.ts";
import { onesComplementSum, pseudoHeaderSum } from "./checksum.ts";
import { Ipv4, Ipv6, Protocol, readUint16, Tcp, Udp } from "./ip.ts";

export type Layer = "IPv4" | "IPv6" | "extension" | "ICMP" | "ICMPv6" | "UDP" | "TCP" | "payload";

export interface PacketField {
  readonly layer: Layer;
  readonly name: string;
  /** From the packet's first byte. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** The bytes in words, such as `64` for a time to live. */
  readonly value: string;
}

/**
 * All fields, in order and without gaps. `start` says what the first byte is of, for bytes that are no whole packet, such
 * as the ICMP message that a program hands to its socket.
 */
export function dissect(packet: Uint8Array, start: "packet" | "ICMP" | "ICMPv6" = "packet"): PacketField[] {
  const reader = new Reader(packet);
  if (start === "ICMP") readIcmp(reader, "ICMP");
  else if (start === "ICMPv6") readIcmp(reader, "ICMPv6");
  else if (packet.length >= Ipv4.size && packet[0] >> 4 === 4) readIpv4(reader);
  else if (packet.length >= Ipv6.size && packet[0] >> 4 === 6) readIpv6(reader);
  reader.rest();
  return reader.fields;
}

/** Takes one field after the other. */
class Reader {
  readonly packet: Uint8Array;
  readonly fields: PacketField[] = [];
  at = 0;

  constructor(packet: Uint8Array) {
    this.packet = packet;
  }

  get left(): number {
    return this.packet.length - this.at;
  }

  take(layer: Layer, name: string, length: number, describe: (bytes: Uint8Array) => string): void {
    const bytes = this.packet.subarray(this.at, this.at + length);
    if (bytes.length === 0) return;
    this.fields.push({ layer, name, offset: this.at, bytes, value: describe(bytes) });
    this.at += bytes.length;
  }

  rest(): void {
    this.take("payload", "payload", this.left, (bytes) => `${bytes.length} bytes`);
  }
}

function readIpv4(reader: Reader): void {
  const { packet } = reader;
  const size = (packet[Ipv4.versionAndLength] & 15) * 4;
  const total = readUint16(packet, Ipv4.totalLength);
  if (size < Ipv4.size || size > packet.length) return;
  const take = (name: string, length: number, describe: (bytes: Uint8Array) => string) =>
    reader.take("IPv4", name, length, describe);
  take("version and header length", 1, () => `version 4, header of ${size / 4} times 4 bytes`);
  take("type of service", 1, ([value]) => trafficClass(value));
  take("total length", 2, () => `${total} bytes`);
  take("identification", 2, hex);
  take("flags and fragment offset", 2, (bytes) => fragmentation(readUint16(bytes, 0)));
  take("time to live", 1, decimal);
  take("protocol", 1, ([value]) => protocolName(value));
  take("header checksum", 2, (bytes) => `${hex(bytes)}, ${sumState(packet.subarray(0, size), 0, Ipv4.checksum)}`);
  take("source", 4, address);
  take("destination", 4, address);
  take("options", size - Ipv4.size, (bytes) => `${bytes.length} bytes`);
  const isFirst = (readUint16(packet, Ipv4.flagsAndOffset) & 0x1fff) === 0;
  if (isFirst) readTransport(reader, packet[Ipv4.protocol]);
}

function readIpv6(reader: Reader): void {
  const { packet } = reader;
  const take = (name: string, length: number, describe: (bytes: Uint8Array) => string) =>
    reader.take("IPv6", name, length, describe);
  take("version, class and flow label", 4, ([first, second, third, fourth]) => {
    const flow = ((second & 15) << 16) | (third << 8) | fourth;
    return `version 6, ${trafficClass(((first & 15) << 4) | (second >> 4))}, flow 0x${flow.toString(16).padStart(5, "0")}`;
  });
  take("payload length", 2, (bytes) => `${readUint16(bytes, 0)} bytes`);
  take("next header", 1, ([value]) => protocolName(value));
  take("hop limit", 1, decimal);
  take("source", 16, address);
  take("destination", 16, address);
  let next = packet[Ipv6.nextHeader];
  // Of the extension headers these two are of the common shape (RFC 8200 §4.3): the next header, then the length in units
  // of 8 bytes, the first not counted.
  while ((next === Protocol.hopByHop || next === Protocol.destinationOptions) && reader.left >= 8) {
    next = packet[reader.at];
    const length = (packet[reader.at + 1] + 1) * 8;
    reader.take("extension", "options", length, (bytes) => `${bytes.length} bytes, then ${protocolName(next)}`);
  }
  readTransport(reader, next);
}

function readTransport(reader: Reader, protocol: number): void {
  if (protocol === Protocol.icmp && reader.packet[0] >> 4 === 4) readIcmp(reader, "ICMP");
  else if (protocol === Protocol.icmpv6) readIcmp(reader, "ICMPv6");
  else if (protocol === Protocol.udp) readUdp(reader);
  else if (protocol === Protocol.tcp) readTcp(reader);
}

/** RFC 792 and RFC 4443 §2.1, §4: the identifier and the sequence number are there in echoes alone. */
function readIcmp(reader: Reader, layer: "ICMP" | "ICMPv6"): void {
  if (reader.left < 8) return;
  const message = reader.packet.subarray(reader.at);
  const names = icmpTypes[layer];
  const isEcho = names[message[0]]?.startsWith("echo") ?? false;
  // A message alone has no addresses with which ICMPv6 could be summed.
  const isAlone = layer === "ICMPv6" && reader.at === 0;
  const sum = layer === "ICMP" ? sumState(message, 0) : isAlone ? "" : transportSum(reader, Protocol.icmpv6, message);
  reader.take(layer, "type", 1, ([value]) => `${value}${names[value] === undefined ? "" : ` (${names[value]})`}`);
  reader.take(layer, "code", 1, decimal);
  reader.take(layer, "checksum", 2, (bytes) => summed(bytes, sum));
  if (!isEcho) return;
  reader.take(layer, "identifier", 2, hex);
  reader.take(layer, "sequence number", 2, (bytes) => String(readUint16(bytes, 0)));
}

function readUdp(reader: Reader): void {
  if (reader.left < Udp.size) return;
  const datagram = reader.packet.subarray(reader.at);
  const take = (name: string, describe: (bytes: Uint8Array) => string) => reader.take("UDP", name, 2, describe);
  take("source port", (bytes) => String(readUint16(bytes, 0)));
  take("destination port", (bytes) => String(readUint16(bytes, 0)));
  take("length", (bytes) => `${readUint16(bytes, 0)} bytes`);
  take("checksum", (bytes) => summed(bytes, transportSum(reader, Protocol.udp, datagram)));
}

function readTcp(reader: Reader): void {
  if (reader.left < Tcp.size) return;
  const segment = reader.packet.subarray(reader.at);
  const size = (segment[Tcp.dataOffset] >> 4) * 4;
  const take = (name: string, length: number, describe: (bytes: Uint8Array) => string) =>
    reader.take("TCP", name, length, describe);
  take("source port", 2, (bytes) => String(readUint16(bytes, 0)));
  take("destination port", 2, (bytes) => String(readUint16(bytes, 0)));
  take("sequence number", 4, uint32);
  take("acknowledgement", 4, uint32);
  take("header length and flags", 2, ([, flags]) => `${size} bytes, ${flagNames(flags)}`);
  take("window", 2, (bytes) => String(readUint16(bytes, 0)));
  take("checksum", 2, (bytes) => summed(bytes, transportSum(reader, Protocol.tcp, segment)));
  take("urgent pointer", 2, (bytes) => String(readUint16(bytes, 0)));
  take("options", Math.max(0, size - Tcp.size), (bytes) => `${bytes.length} bytes`);
}

const icmpTypes: Readonly<Record<"ICMP" | "ICMPv6", Readonly<Record<number, string>>>> = {
  ICMP: { 0: "echo reply", 3: "destination unreachable", 8: "echo request", 11: "time exceeded" },
  ICMPv6: {
    1: "destination unreachable",
    2: "packet too big",
    3: "time exceeded",
    128: "echo request",
    129: "echo reply",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbour solicitation",
    136: "neighbour advertisement",
    143: "multicast listener report",
  },
};

const protocolNames: Readonly<Record<number, string>> = {
  [Protocol.hopByHop]: "hop-by-hop options",
  [Protocol.icmp]: "ICMP",
  [Protocol.tcp]: "TCP",
  [Protocol.udp]: "UDP",
  [Protocol.icmpv6]: "ICMPv6",
  [Protocol.destinationOptions]: "destination options",
};

function protocolName(value: number): string {
  return protocolNames[value] === undefined ? String(value) : `${value} (${protocolNames[value]})`;
}

/** RFC 2474 and RFC 3168: six bits of class, two of congestion notification. */
function trafficClass(value: number): string {
  return value === 0 ? "class 0" : `class ${value >> 2}, congestion bits ${value & 3}`;
}

function fragmentation(value: number): string {
  const words = [
    ...((value & 0x4000) === 0 ? [] : ["don't fragment"]),
    ...((value & 0x2000) === 0 ? [] : ["more fragments"]),
    ...((value & 0x1fff) === 0 ? [] : [`offset ${(value & 0x1fff) * 8}`]),
  ];
  return words.join(", ") || "none";
}

function flagNames(flags: number): string {
  const names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
  return names.filter((_, bit) => (flags & (1 << bit)) !== 0).join(" ") || "no flags";
}

/** How a checksum relates to what it is of. Empty where that cannot be said. */
type SumState = "" | "right" | "wrong" | "not made" | "unfinished: that of the pseudo-header";

/** With the pseudo-header that belongs to it; of a fragment, or a packet that was cut off, nothing can be said. */
function transportSum({ packet }: Reader, protocol: number, body: Uint8Array): SumState {
  const isFragment = packet[0] >> 4 === 4 && (readUint16(packet, Ipv4.flagsAndOffset) & 0x3fff) !== 0;
  const length = packet[0] >> 4 === 4 ? readUint16(packet, Ipv4.totalLength) : readUint16(packet, 4) + Ipv6.size;
  if (isFragment || length !== packet.length) return "";
  const at = protocol === Protocol.udp ? Udp.checksum : protocol === Protocol.tcp ? Tcp.checksum : 2;
  const pseudo = pseudoHeaderSum(packet, protocol, body.length);
  const state = sumState(body, pseudo, at);
  // What the kernel hands to a network card that can sum (Linux, net/core/dev.c: CHECKSUM_PARTIAL).
  return state === "wrong" && readUint16(body, at) === pseudo ? "unfinished: that of the pseudo-header" : state;
}

function sumState(body: Uint8Array, pseudo: number, at = 2): SumState {
  if (readUint16(body, at) === 0 && onesComplementSum(body, pseudo) !== 0xffff) return "not made";
  return onesComplementSum(body, pseudo) === 0xffff ? "right" : "wrong";
}

function summed(bytes: Uint8Array, state: SumState): string {
  return state === "" ? hex(bytes) : `${hex(bytes)}, ${state}`;
}

function hex(bytes: Uint8Array): string {
  return `0x${toHex(bytes)}`;
}

function decimal(bytes: Uint8Array): string {
  return String(bytes[0]);
}

function uint32(bytes: Uint8Array): string {
  return String(readUint16(bytes, 0) * 0x1_0000 + readUint16(bytes, 2));
}

function address(bytes: Uint8Array): string {
  return new IpAddress(bytes.slice()).toString();
}
