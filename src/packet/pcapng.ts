/**
 * Blocks of a capture file as tcpdump and Wireshark read it: pcapng (draft-ietf-opsawg-pcapng). A file is a section
 * header, then interfaces and packets in any order, an interface before its first packet. Numbers are little-endian.
 * Pure.
 *
 * Each packet stands behind a header of 16 bytes that says which way it went (LINKTYPE_LINUX_SLL), as in captures of
 * packets without their link layer. LINKTYPE_RAW would do without, but tcpdump refuses a file with two interfaces of it
 * (seen with libpcap 1.10.3: it compares the file's number, 101, with its own, 12).
 */

const linkTypeCooked = 113;
/** The header, in network order: direction, kind of hardware, its address's length and eight bytes of it, EtherType. */
const Cooked = { size: 16, direction: 0, hardware: 2, protocol: 14 } as const;
const outgoingPacket = 4; // PACKET_OUTGOING; 0 is to us
const noHardware = 0xfffe; // ARPHRD_NONE

const Block = { section: 0x0a0d_0d0a, interface: 1, packet: 6 } as const;
const byteOrderMagic = 0x1a2b_3c4d;
const Option = { name: 2, description: 3, flags: 2, application: 4, resolution: 9 } as const;
const nanoseconds = 9; // ten to the minus ninth

export interface PcapInterface {
  readonly name: string;
  readonly description: string;
  /** Bytes to which packets are cut. */
  readonly snap: number;
}

export interface PcapPacket {
  /** The number of its interface in the section, from 0. */
  readonly interface: number;
  /** Since 1970, UTC. */
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly outgoing: boolean;
  /** Its EtherType. */
  readonly protocol: number;
  /** As it was captured, perhaps cut, and how long it was. */
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** The first block of a file. */
export function sectionHeader(application: string): Uint8Array {
  const body = new Uint8Array(16);
  const view = new DataView(body.buffer);
  view.setUint32(0, byteOrderMagic, true);
  view.setUint16(4, 1, true); // version 1.0
  view.setBigInt64(8, -1n, true); // of unknown length
  return block(Block.section, body, [[Option.application, text(application)]]);
}

export function interfaceDescription({ name, description, snap }: PcapInterface): Uint8Array {
  const body = new Uint8Array(8);
  const view = new DataView(body.buffer);
  view.setUint16(0, linkTypeCooked, true);
  view.setUint32(4, snap + Cooked.size, true);
  return block(Block.interface, body, [
    [Option.name, text(name)],
    [Option.description, text(description)],
    [Option.resolution, Uint8Array.of(nanoseconds)],
  ]);
}

export function enhancedPacket(packet: PcapPacket): Uint8Array {
  const { bytes, length, outgoing, protocol } = packet;
  const body = new Uint8Array(20 + padded(Cooked.size + bytes.length));
  const view = new DataView(body.buffer);
  const time = BigInt(packet.seconds) * 1_000_000_000n + BigInt(packet.nanoseconds);
  view.setUint32(0, packet.interface, true);
  view.setUint32(4, Number(time >> 32n), true);
  view.setUint32(8, Number(time & 0xffff_ffffn), true);
  view.setUint32(12, Cooked.size + bytes.length, true);
  view.setUint32(16, Cooked.size + length, true);
  view.setUint16(20 + Cooked.direction, outgoing ? outgoingPacket : 0);
  view.setUint16(20 + Cooked.hardware, noHardware);
  view.setUint16(20 + Cooked.protocol, protocol);
  body.set(bytes, 20 + Cooked.size);
  return block(Block.packet, body, [[Option.flags, Uint8Array.of(outgoing ? 2 : 1, 0, 0, 0)]]);
}

/** Type and length, the body, options, the length again, so that a file can be read from its end. */
function block(
  type: number,
  body: Uint8Array,
  options: readonly (readonly [code: number, value: Uint8Array])[],
): Uint8Array {
  const optionBytes = options.reduce((sum, [, value]) => sum + 4 + padded(value.length), 4);
  const length = 12 + body.length + optionBytes;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  bytes.set(body, 8);
  let at = 8 + body.length;
  for (const [code, value] of options) {
    view.setUint16(at, code, true);
    view.setUint16(at + 2, value.length, true);
    bytes.set(value, at + 4);
    at += 4 + padded(value.length);
  }
  view.setUint32(length - 4, length, true); // the end of options before it is all zeros
  return bytes;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
