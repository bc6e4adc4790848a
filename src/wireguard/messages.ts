/**
 * The four messages on the wire, whitepaper §5.4, as tables of offsets. Integers are little-endian. A message is looked
 * at once, at the door: `messageType` answers what it is only if its length is right for it.
 */
import type { DropReason } from "../base/errors.ts";

/** Handshake initiation, §5.4.2. `mac1` covers all before it, `mac2` all before itself. */
export const Initiation = {
  type: 1,
  size: 148,
  sender: 4,
  ephemeral: 8,
  encryptedStatic: 40,
  encryptedTimestamp: 88,
  mac1: 116,
  mac2: 132,
} as const;

/** Handshake response, §5.4.3. */
export const Response = {
  type: 2,
  size: 92,
  sender: 4,
  receiver: 8,
  ephemeral: 12,
  encryptedNothing: 44,
  mac1: 60,
  mac2: 76,
} as const;

/** Cookie reply, §5.4.7. */
export const CookieReply = {
  type: 3,
  size: 64,
  receiver: 4,
  nonce: 8,
  encryptedCookie: 32,
} as const;

/** Transport data, §5.4.6. The counter has 64 bits. `size` is that of the shortest, a keepalive. */
export const Data = {
  type: 4,
  size: 32,
  receiver: 4,
  counter: 8,
  payload: 16,
  /** Bytes a message is longer than the padded packet in it. */
  overhead: 32,
} as const;

export const macLength = 16;

type MessageType = 1 | 2 | 3 | 4;

/** What a message is, or why it is none. The three bytes after the type are reserved and zero. */
export function messageType(message: Uint8Array): MessageType | DropReason {
  if (message.length < Data.size) return "message-too-short";
  const type = readUint32(message, 0);
  switch (type) {
    case Initiation.type:
      return message.length === Initiation.size ? type : "message-wrong-length";
    case Response.type:
      return message.length === Response.size ? type : "message-wrong-length";
    case CookieReply.type:
      return message.length === CookieReply.size ? type : "message-wrong-length";
    case Data.type:
      return type;
    default:
      return "message-unknown-type";
  }
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** A 64-bit counter as a double: exact below 2^53, and never below it when the true value is not. */
export function readCounter(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at + 4) * 0x1_0000_0000 + readUint32(bytes, at);
}

export function writeCounter(bytes: Uint8Array, at: number, counter: number): void {
  writeUint32(bytes, at, counter % 0x1_0000_0000);
  writeUint32(bytes, at + 4, Math.floor(counter / 0x1_0000_0000));
}
