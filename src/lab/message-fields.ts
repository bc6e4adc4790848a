/** WireGuard's messages taken apart field by field, for a reader (whitepaper §5.4.2, §5.4.3, §5.4.6). Pure. */
import { toHex } from "../base/bytes.ts";
import { Data, Initiation, messageType, Response, readCounter } from "../wireguard/messages.ts";

export interface MessageField {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** In hexadecimal, as they are on the wire. */
  readonly bytes: string;
  readonly meaning: string;
}

type Row = readonly [name: string, offset: number, meaning: (message: Uint8Array) => string];

const typeRows: readonly Row[] = [
  ["type", 0, (message) => `${message[0]}`],
  ["reserved", 1, () => "always zero"],
];

const initiationRows: readonly Row[] = [
  ...typeRows,
  ["sender", Initiation.sender, () => "the index the client wants to be answered under"],
  ["ephemeral", Initiation.ephemeral, () => "a public key made for this handshake alone"],
  ["static", Initiation.encryptedStatic, () => "the client's public key, sealed: 32 bytes and a tag of 16"],
  ["timestamp", Initiation.encryptedTimestamp, () => "when it was made, sealed: 12 bytes and a tag of 16"],
  ["mac1", Initiation.mac1, () => "of all before it; anyone who has the server's public key can make it"],
  [
    "mac2",
    Initiation.mac2,
    (message) => (isZero(message.subarray(Initiation.mac2)) ? "zero: no cookie was asked for" : "made with a cookie"),
  ],
];

const responseRows: readonly Row[] = [
  ...typeRows,
  ["sender", Response.sender, () => "the index the server wants to be addressed under"],
  ["receiver", Response.receiver, () => "the index the client asked for"],
  ["ephemeral", Response.ephemeral, () => "a public key made for this handshake alone"],
  ["nothing", Response.encryptedNothing, () => "nothing, sealed: the tag alone, which proves the keys"],
  ["mac1", Response.mac1, () => "of all before it; anyone who has the client's public key can make it"],
  [
    "mac2",
    Response.mac2,
    (message) => (isZero(message.subarray(Response.mac2)) ? "zero: no cookie was asked for" : "made with a cookie"),
  ],
];

const dataRows: readonly Row[] = [
  ...typeRows,
  ["receiver", Data.receiver, () => "the index the server asked for"],
  ["counter", Data.counter, (message) => `${readCounter(message, Data.counter)}`],
  [
    "packet",
    Data.payload,
    (message) => `a packet, padded and sealed: ${message.length - Data.overhead} bytes and a tag of 16`,
  ],
];

/** The fields of an initiation, a response or a data message, in order and without gaps; none of anything else. */
export function messageFields(message: Uint8Array): MessageField[] {
  const rows = rowsOf(message);
  return rows.map(([name, offset, meaning], i) => {
    const end = rows[i + 1]?.[1] ?? message.length;
    return {
      name,
      offset,
      length: end - offset,
      bytes: toHex(message.subarray(offset, end)),
      meaning: meaning(message),
    };
  });
}

function rowsOf(message: Uint8Array): readonly Row[] {
  switch (messageType(message)) {
    case Initiation.type:
      return initiationRows;
    case Response.type:
      return responseRows;
    case Data.type:
      return dataRows;
    default:
      return [];
  }
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** The time in a TAI64N stamp (whitepaper §5.1), in milliseconds since 1970, UTC. */
export function readStamp(stamp: Uint8Array): number {
  const view = new DataView(stamp.buffer, stamp.byteOffset, stamp.length);
  const seconds = (view.getUint32(0) - 0x4000_0000) * 0x1_0000_0000 + view.getUint32(4) - 10;
  return seconds * 1000 + view.getUint32(8) / 1e6;
}
