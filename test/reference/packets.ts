/** TCP and UDP packets, assembled field by field as RFC 791, RFC 8200, RFC 9293 and RFC 768 draw them. */
import { slowChecksum } from "./checksum.ts";

export interface PacketFields {
  readonly family: 4 | 6;
  readonly protocol: "tcp" | "udp";
  readonly payload: Uint8Array;
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly timeToLive: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  /** The last byte of the source address. */
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly window: number;
  readonly urgentPointer: number;
  /** TCP options, a multiple of 4 bytes. */
  readonly options: Uint8Array;
  /** Whether the checksum is left as the kernel leaves it: the sum of the pseudo-header. */
  readonly isPartial: boolean;
}

const defaults: PacketFields = {
  family: 4,
  protocol: "tcp",
  payload: new Uint8Array(),
  trafficClass: 0,
  flowLabel: 0,
  timeToLive: 64,
  identification: 0,
  dontFragment: true,
  source: 1,
  destination: 2,
  sourcePort: 40_000,
  destinationPort: 443,
  sequence: 1,
  acknowledgement: 1,
  flags: 0x10,
  window: 512,
  urgentPointer: 0,
  options: new Uint8Array(),
  isPartial: false,
};

export function makePacket(fields: Partial<PacketFields>): Uint8Array {
  const all = { ...defaults, ...fields };
  const transport = all.protocol === "tcp" ? tcpHeader(all) : udpHeader(all);
  const source = address(all.family, all.source);
  const destination = address(all.family, all.destination);
  const length = transport.length + all.payload.length;
  const protocol = all.protocol === "tcp" ? 6 : 17;
  const pseudoHeader = Uint8Array.from([...source, ...destination, 0, protocol, ...word(length)]);
  const field = all.protocol === "tcp" ? 16 : 6;
  const sum = all.isPartial ? 0xffff - slowChecksum(pseudoHeader) : slowChecksum(pseudoHeader, transport, all.payload);
  transport.set(word(sum === 0 && protocol === 17 ? 0xffff : sum), field);
  const network = all.family === 4 ? ipv4Header(all, protocol, length) : ipv6Header(all, protocol, length);
  return Uint8Array.from([...network, ...source, ...destination, ...transport, ...all.payload]);
}

/** Makes both checksums right again after a change, as far as the packet has the places where they stand. */
export function repairChecksums(packet: Uint8Array): void {
  const isIpv4 = packet[0] >> 4 === 4;
  const transport = isIpv4 ? 20 : 40;
  const protocol = packet[isIpv4 ? 9 : 6];
  const field = transport + (protocol === 6 ? 16 : 6);
  if (packet.length < field + 2) return;
  if (isIpv4) {
    packet.fill(0, 10, 12);
    packet.set(word(slowChecksum(packet.slice(0, 20))), 10);
  }
  const length = packet.length - transport;
  const pseudoHeader = Uint8Array.from([...packet.slice(isIpv4 ? 12 : 8, transport), 0, protocol, ...word(length)]);
  packet.fill(0, field, field + 2);
  packet.set(word(slowChecksum(pseudoHeader, packet.slice(transport)) || 0xffff), field);
}

function address(family: 4 | 6, last: number): number[] {
  return family === 4 ? [10, 8, 0, last] : [0xfd, 0x8f, ...new Array(13).fill(0), last];
}

function ipv4Header(fields: PacketFields, protocol: number, length: number): number[] {
  const fragment = fields.dontFragment ? 0x4000 : 0;
  const header = [0x45, fields.trafficClass, ...word(20 + length), ...word(fields.identification), ...word(fragment)];
  header.push(fields.timeToLive, protocol, 0, 0);
  const addresses = [...address(4, fields.source), ...address(4, fields.destination)];
  header.splice(10, 2, ...word(slowChecksum(Uint8Array.from([...header, ...addresses]))));
  return header;
}

function ipv6Header(fields: PacketFields, protocol: number, length: number): number[] {
  const first = 0x6000_0000 + fields.trafficClass * 0x10_0000 + fields.flowLabel;
  return [...long(first), ...word(length), protocol, fields.timeToLive];
}

function tcpHeader(fields: PacketFields): Uint8Array {
  return Uint8Array.from([
    ...word(fields.sourcePort),
    ...word(fields.destinationPort),
    ...long(fields.sequence),
    ...long(fields.acknowledgement),
    (5 + fields.options.length / 4) * 16,
    fields.flags,
    ...word(fields.window),
    ...[0, 0],
    ...word(fields.urgentPointer),
    ...fields.options,
  ]);
}

function udpHeader(fields: PacketFields): Uint8Array {
  const length = 8 + fields.payload.length;
  return Uint8Array.from([...word(fields.sourcePort), ...word(fields.destinationPort), ...word(length), 0, 0]);
}

function word(value: number): [number, number] {
  return [(value >> 8) & 255, value & 255];
}

function long(value: number): number[] {
  return [...word(value >>> 16), ...word(value & 0xffff)];
}

export interface VirtioFields {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

/** The ten bytes of `struct virtio_net_hdr`, in the little-endian order of our machines. */
export function makeVirtioHeader(fields: Partial<VirtioFields>): Uint8Array {
  const { flags = 0, gsoType = 0, headerLength = 0, gsoSize = 0, checksumStart = 0, checksumOffset = 0 } = fields;
  const words = [headerLength, gsoSize, checksumStart, checksumOffset].flatMap((value) => word(value).reverse());
  return Uint8Array.from([flags, gsoType, ...words]);
}

/** The virtio header that the kernel gives a super-packet made by `makePacket`. */
export function superPacketHeader(fields: Partial<PacketFields>, gsoSize: number): Uint8Array {
  const { family, protocol, options } = { ...defaults, ...fields };
  const checksumStart = family === 4 ? 20 : 40;
  return makeVirtioHeader({
    flags: 1,
    gsoType: protocol === "udp" ? 5 : family === 4 ? 1 : 4,
    headerLength: checksumStart + (protocol === "udp" ? 8 : 20 + options.length),
    gsoSize,
    checksumStart,
    checksumOffset: protocol === "udp" ? 6 : 16,
  });
}
