/**
 * Netlink messages, taken apart and put together; pure. A message is a header of 16 bytes, a fixed body that its type
 * defines, and attributes; an attribute is a length and a type of two bytes each, then its value, which may be further
 * attributes. Everything is padded to 4 bytes and in host order, little-endian here, save what nf_tables defines
 * otherwise (linux/netlink.h, RFC 3549).
 */
import { concatBytes } from "../base/bytes.ts";

/** struct nlmsghdr. */
const Header = { size: 16, length: 0, type: 4, flags: 6, sequence: 8, port: 12 } as const;
const attributeHeader = 4;

export const MessageFlag = {
  request: 0x1,
  acknowledge: 0x4,
  /** As an answer: the dump was disturbed by a change and has to be asked for again. */
  interrupted: 0x10,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
  dump: 0x300,
} as const;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are hints in the type's upper bits. */
const typeMask = 0x3fff;
const nested = 0x8000;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** The fixed body and the attributes. */
  readonly body: Uint8Array;
}

/** Attributes by type, as received; of several with one type the last counts. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

export function encodeMessage(message: NetlinkMessage): Uint8Array {
  const bytes = new Uint8Array(align(Header.size + message.body.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(Header.length, Header.size + message.body.length, true);
  view.setUint16(Header.type, message.type, true);
  view.setUint16(Header.flags, message.flags, true);
  view.setUint32(Header.sequence, message.sequence, true);
  bytes.set(message.body, Header.size);
  return bytes;
}

/** Takes apart what one receive returned. Stops at the first message that does not fit. */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  const view = viewOf(bytes);
  for (let at = 0; at + Header.size <= bytes.length; ) {
    const length = view.getUint32(at + Header.length, true);
    if (length < Header.size || at + length > bytes.length) break;
    messages.push({
      type: view.getUint16(at + Header.type, true),
      flags: view.getUint16(at + Header.flags, true),
      sequence: view.getUint32(at + Header.sequence, true),
      body: bytes.slice(at + Header.size, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** An attribute with its value as bytes, a string (which gets a closing zero) or, nested, as attributes. */
export function attribute(type: number, value: Uint8Array | string | readonly Uint8Array[]): Uint8Array {
  const isNest = Array.isArray(value);
  const bytes = typeof value === "string" ? text(value) : isNest ? concatBytes(...value) : (value as Uint8Array);
  const encoded = new Uint8Array(align(attributeHeader + bytes.length));
  const view = new DataView(encoded.buffer);
  view.setUint16(0, attributeHeader + bytes.length, true);
  view.setUint16(2, isNest ? type | nested : type, true);
  encoded.set(bytes, attributeHeader);
  return encoded;
}

/** Reads the attributes from offset `from` on. Stops at the first that does not fit. */
export function decodeAttributes(bytes: Uint8Array, from = 0): Attributes {
  const attributes = new Map<number, Uint8Array>();
  const view = viewOf(bytes);
  for (let at = from; at + attributeHeader <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < attributeHeader || at + length > bytes.length) break;
    attributes.set(view.getUint16(at + 2, true) & typeMask, bytes.subarray(at + attributeHeader, at + length));
    at += align(length);
  }
  return attributes;
}

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

export function readU32(value: Uint8Array | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : viewOf(value).getUint32(0, true);
}

/** A string up to its closing zero. */
export function readText(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
}

/** The errno and the kernel's words in an NLMSG_ERROR; `undefined` in one that acknowledges, or in another message. */
export function failureIn(message: NetlinkMessage): { errno: number; reason: string | undefined } | undefined {
  if (message.type !== NLMSG_ERROR || message.body.length < 4 + Header.size) return undefined;
  const view = viewOf(message.body);
  const code = -view.getInt32(0, true);
  if (code === 0) return undefined;
  // The request follows: its header alone where the answer is capped.
  const requestLength = (message.flags & NLM_F_CAPPED) !== 0 ? Header.size : view.getUint32(4, true);
  const attributes =
    (message.flags & NLM_F_ACK_TLVS) === 0 ? undefined : decodeAttributes(message.body, 4 + align(requestLength));
  return { errno: code, reason: readText(attributes?.get(NLMSGERR_ATTR_MSG)) };
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

function align(length: number): number {
  return (length + 3) & ~3;
}
