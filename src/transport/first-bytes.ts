/**
 * What a stranger speaks, from the first six bytes of a connection: one port takes frames with WireGuard messages, TLS
 * and HTTP, and none of them can be mistaken for another.
 *
 *     TLS      16 03 01..03 xx xx 01     a handshake record with a ClientHello (RFC 8446 §5.1, §4)
 *     HTTP     a method in capitals      RFC 9110 §9
 *     frames   length, then a message    whitepaper §5.4: the type, 1 to 4, and three zeros; each type has its length
 *
 * Read as a frame, a ClientHello is a message of type 1 to 3 with 5,635 bytes, which no such message has; and a method's
 * third letter is no message type. Pure.
 */
import { largestDatagram } from "./datagram-link.ts";

export type FirstBytes = "tls" | "http" | "frames" | "unknown";

/** How many bytes it takes to tell. Nobody who speaks one of these stops before. */
export const firstBytesNeeded = 6;

const methods = /^(?:GET |POST |HEAD |PUT |PATCH |TRACE |PRI |OPTION|DELETE|CONNEC)/;
const tlsHandshake = 0x16;
const tlsMajor = 3;
const clientHello = 1;
/** Lengths by message type: an initiation, a response and a cookie reply have one, data has a least (whitepaper §5.4). */
const lengths = [undefined, 148, 92, 64] as const;
const data = { type: 4, least: 32 } as const;

/** `bytes` has at least `firstBytesNeeded`. */
export function tellFirstBytes(bytes: Uint8Array): FirstBytes {
  if (bytes[0] === tlsHandshake && bytes[1] === tlsMajor && bytes[2] >= 1 && bytes[2] <= 3) {
    return bytes[5] === clientHello ? "tls" : "unknown";
  }
  if (methods.test(String.fromCharCode(...bytes.subarray(0, firstBytesNeeded)))) return "http";
  return isMessage((bytes[0] << 8) | bytes[1], bytes[2], bytes[3] | bytes[4] | bytes[5]) ? "frames" : "unknown";
}

function isMessage(length: number, type: number, reserved: number): boolean {
  if (reserved !== 0) return false;
  if (type === data.type) return length >= data.least && length <= largestDatagram;
  return type < lengths.length && lengths[type] === length;
}
