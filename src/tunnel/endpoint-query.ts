/**
 * The question for a host's addresses, and what makes of a datagram the answer to it (RFC 1035 §4, RFC 3596); pure. Any
 * machine on the way may send us an answer, so one that does not fit its question to the letter is none.
 *
 * A message is a header of 12 bytes, the question, and records; a name is labels with their lengths, or ends in a
 * pointer to an earlier place of the message.
 */
import { IpAddress } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";

/** Header, RFC 1035 §4.1.1. All numbers are in network order. */
const Header = { size: 12, id: 0, flags: 2, questions: 4, answers: 6 } as const;
const Flags = {
  response: 0x8000,
  opcode: 0x7800,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  code: 0x000f,
} as const;
const nameError = 3;
const RecordType = { A: 1, CNAME: 5, AAAA: 28 } as const;
const addressSize: Readonly<Record<number, number>> = { [RecordType.A]: 4, [RecordType.AAAA]: 16 };
const classInternet = 1;
const longestLabel = 63;
const longestName = 255;
/** No resolver's answer needs more; each step looks at every record once. */
const longestAliasChain = 16;

export interface AddressQuestion {
  /** A random number of 16 bits: what a stranger has to guess, together with our port. */
  readonly id: number;
  /** ASCII, with or without the final dot. */
  readonly host: string;
  readonly family: 4 | 6;
}

export type AddressReply =
  /** The host's addresses of that family; none where there is no such host, or it has none. */
  | { readonly kind: "addresses"; readonly addresses: readonly IpAddress[] }
  /** There is more than fits a datagram: ask again over TCP. */
  | { readonly kind: "truncated" }
  /** The name server cannot or will not say: ask another. */
  | { readonly kind: "refused" };

/** The message that asks; `undefined` where the host is no name that DNS can hold. */
export function encodeQuestion({ id, host, family }: AddressQuestion): Uint8Array | undefined {
  const name = encodeName(host);
  if (name === undefined) return undefined;
  const header = new Uint8Array(Header.size);
  const view = new DataView(header.buffer);
  view.setUint16(Header.id, id);
  view.setUint16(Header.flags, Flags.recursionDesired);
  view.setUint16(Header.questions, 1);
  return concatBytes(header, name, be16(family === 4 ? RecordType.A : RecordType.AAAA), be16(classInternet));
}

/** What a message answers to a question; `undefined` where it is no answer to it. */
export function decodeReply(message: Uint8Array, question: AddressQuestion): AddressReply | undefined {
  const asked = encodeQuestion(question);
  if (asked === undefined || message.length < asked.length) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const flags = view.getUint16(Header.flags);
  if (view.getUint16(Header.id) !== question.id || view.getUint16(Header.questions) !== 1) return undefined;
  if ((flags & Flags.response) === 0 || (flags & Flags.opcode) !== 0) return undefined;
  const repeated = message.subarray(Header.size, asked.length);
  if (!equalIgnoringCase(repeated, asked.subarray(Header.size))) return undefined;
  if ((flags & Flags.truncated) !== 0) return { kind: "truncated" };
  const code = flags & Flags.code;
  if (code === nameError) return { kind: "addresses", addresses: [] };
  if (code !== 0) return { kind: "refused" };
  const records = readRecords(message, asked.length, view.getUint16(Header.answers));
  if (records === undefined) return undefined;
  const type = question.family === 4 ? RecordType.A : RecordType.AAAA;
  return { kind: "addresses", addresses: addressesOf(records, readName(message, Header.size)?.name ?? "", type) };
}

interface ResourceRecord {
  /** In lower case. */
  readonly name: string;
  readonly type: number;
  readonly data: Uint8Array;
  /** What an alias points to. */
  readonly alias: string | undefined;
}

/** The answer section; `undefined` where it is malformed. */
function readRecords(message: Uint8Array, from: number, count: number): ResourceRecord[] | undefined {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const records: ResourceRecord[] = [];
  let at = from;
  for (let i = 0; i < count; i++) {
    const owner = readName(message, at);
    if (owner === undefined || owner.end + 10 > message.length) return undefined;
    const start = owner.end + 10; // type, class, time to live and length stand before it
    const length = view.getUint16(owner.end + 8);
    if (start + length > message.length) return undefined;
    at = start + length;
    if (view.getUint16(owner.end + 2) !== classInternet) continue;
    const type = view.getUint16(owner.end);
    const alias = type === RecordType.CNAME ? readName(message, start)?.name : undefined;
    records.push({ name: owner.name, type, data: message.slice(start, at), alias });
  }
  return records;
}

/** The addresses of a host, and of what it is an alias of; of nobody else who may stand in the answer. */
function addressesOf(records: readonly ResourceRecord[], host: string, type: number): IpAddress[] {
  let name: string | undefined = host;
  for (let step = 0; name !== undefined && step < longestAliasChain; step++) {
    const own = records.filter((record) => record.name === name);
    const found = own.filter((record) => record.type === type && record.data.length === addressSize[type]);
    if (found.length > 0) return found.map(({ data }) => new IpAddress(data));
    name = own.find(({ alias }) => alias !== undefined)?.alias;
  }
  return [];
}

/** Reads a name, in lower case; `undefined` where it is malformed. Pointers lead backwards only, so there is an end. */
function readName(message: Uint8Array, from: number): { name: string; end: number } | undefined {
  const labels: string[] = [];
  let end: number | undefined;
  let length = 0;
  for (let at = from, bound = from; ; ) {
    if (at >= message.length) return undefined;
    const size = message[at];
    if (size >= 0xc0) {
      if (at + 1 >= message.length) return undefined;
      const target = ((size & 0x3f) << 8) | message[at + 1];
      end ??= at + 2;
      if (target >= bound) return undefined;
      at = target;
      bound = target;
      continue;
    }
    if (size > longestLabel || at + 1 + size > message.length) return undefined;
    length += size + 1;
    if (length > longestName) return undefined;
    if (size === 0) return { name: labels.join("."), end: end ?? at + 1 };
    labels.push(
      Buffer.from(message.subarray(at + 1, at + 1 + size))
        .toString("latin1")
        .toLowerCase(),
    );
    at += 1 + size;
  }
}

function encodeName(host: string): Uint8Array | undefined {
  const labels = host.replace(/\.$/, "").split(".");
  const fits = labels.every((label) => /^[\x21-\x7e]+$/.test(label) && label.length <= longestLabel);
  const bytes = labels.flatMap((label) => [label.length, ...Buffer.from(label, "latin1")]);
  return fits && bytes.length < longestName ? Uint8Array.from([...bytes, 0]) : undefined;
}

/** Name servers may give the question back in another case. The bytes behind the name have none. */
function equalIgnoringCase(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a).toString("latin1").toLowerCase() === Buffer.from(b).toString("latin1").toLowerCase();
}

function be16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255);
}
