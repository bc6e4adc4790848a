/**
 * As much of DNS as a name server of a few addresses needs (RFC 1035 §4, RFC 3596 for AAAA). Pure. A message is a header
 * of 12 bytes and four sections; a query has one question, and what follows it (EDNS) is not looked at.
 */
import { IpAddress } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";

/** Header, RFC 1035 §4.1.1. All numbers are in network order. */
const Header = { size: 12, id: 0, flags: 2, questions: 4, answers: 6, authorities: 8, additional: 10 } as const;
const Flags = {
  response: 0x8000,
  opcode: 0x7800,
  authoritative: 0x0400,
  recursionDesired: 0x0100,
  nameError: 3,
} as const;
const classInternet = 1;
const timeToLiveSeconds = 60;
const longestLabel = 63;
const longestName = 255;

export const RecordType = { A: 1, AAAA: 28 } as const;

/** Which addresses a name has, of either family. Names are in lower case, without the final dot. */
export type Zone = Readonly<Record<string, readonly string[]>>;

export interface DnsQuestion {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** In lower case, without the final dot. */
  readonly name: string;
  readonly type: number;
  /** The question as it was asked, to be repeated in the answer. */
  readonly section: Uint8Array;
}

/** Reads a query of one question; `undefined` for anything else, however it is malformed. */
export function decodeQuery(message: Uint8Array): DnsQuestion | undefined {
  if (message.length < Header.size) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const flags = view.getUint16(Header.flags);
  if ((flags & (Flags.response | Flags.opcode)) !== 0 || view.getUint16(Header.questions) !== 1) return undefined;
  const labels: string[] = [];
  let at: number = Header.size;
  for (;;) {
    if (at >= message.length || at - Header.size >= longestName) return undefined;
    const length = message[at++];
    if (length === 0) break;
    if (length > longestLabel || at + length > message.length) return undefined; // a question has nothing to point back to
    labels.push(String.fromCharCode(...message.subarray(at, at + length)).toLowerCase());
    at += length;
  }
  if (at + 4 > message.length || view.getUint16(at + 2) !== classInternet) return undefined;
  return {
    id: view.getUint16(Header.id),
    recursionDesired: (flags & Flags.recursionDesired) !== 0,
    name: labels.join("."),
    type: view.getUint16(at),
    section: message.slice(Header.size, at + 4),
  };
}

/** The answer to a question: the addresses of the family asked for, or that there is no such name. */
export function encodeAnswer(question: DnsQuestion, zone: Zone): Uint8Array {
  const known = Object.hasOwn(zone, question.name);
  const addresses = (known ? zone[question.name] : [])
    .map(IpAddress.parse)
    .filter(({ family }) => question.type === (family === 4 ? RecordType.A : RecordType.AAAA));
  const header = new Uint8Array(Header.size);
  const view = new DataView(header.buffer);
  view.setUint16(Header.id, question.id);
  view.setUint16(
    Header.flags,
    Flags.response |
      Flags.authoritative |
      (question.recursionDesired ? Flags.recursionDesired : 0) |
      (known ? 0 : Flags.nameError),
  );
  view.setUint16(Header.questions, 1);
  view.setUint16(Header.answers, addresses.length);
  return concatBytes(header, question.section, ...addresses.map((found) => encodeRecord(question.type, found)));
}

/** A name as it travels: labels with their lengths (RFC 1035 §3.1). Labels are of ASCII, 1 to 63 bytes. */
export function encodeName(name: string): Uint8Array {
  const labels = name.split(".").map((label) => Uint8Array.from([label.length, ...Buffer.from(label, "ascii")]));
  return concatBytes(...labels, Uint8Array.of(0));
}

/** A resource record of the name in the question, to which it points back (RFC 1035 §4.1.4). */
function encodeRecord(type: number, { bytes }: IpAddress): Uint8Array {
  const fixed = new Uint8Array(12);
  const view = new DataView(fixed.buffer);
  view.setUint16(0, 0xc000 | Header.size);
  view.setUint16(2, type);
  view.setUint16(4, classInternet);
  view.setUint32(6, timeToLiveSeconds);
  view.setUint16(10, bytes.length);
  return concatBytes(fixed, bytes);
}
