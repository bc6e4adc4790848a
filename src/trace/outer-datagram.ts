/**
 * What is seen outside a tunnel: a UDP packet with one WireGuard message in it, or many. Those that are sent with one
 * call (UDP_SEGMENT) pass the machine as one packet, whose messages follow each other at equal distances. Pure.
 */
import { summarisePacket } from "../lab/packet-summary.ts";
import { Ipv4, Protocol, readUint16, Udp } from "../packet/ip.ts";
import { type MessageSummary, summariseMessage } from "../wireguard/message-summary.ts";
import { Data, readCounter, readUint32 } from "../wireguard/messages.ts";

export interface OuterDatagram {
  /** Address and port; an IPv6 address in brackets. */
  readonly source: string;
  readonly destination: string;
  /** Bytes before the first message: the headers of IP and UDP. */
  readonly headerBytes: number;
  readonly messages: readonly OuterMessage[];
  /** How many more there are that were not taken apart. */
  readonly others: number;
}

export interface OuterMessage {
  readonly kind: MessageSummary["kind"] | "keepalive";
  /** As it is on the wire, however much of it was captured. */
  readonly length: number;
  /** The index its receiver chose; an initiation has none yet. */
  readonly receiver: number | undefined;
  /** Of data and keepalives. */
  readonly counter: number | undefined;
}

/** Of one packet so many messages are looked at: more are a stream, of which none is told from the other. */
export const messagesLookedAt = 8;

/** Reads a packet, perhaps cut off, of `length` bytes; `undefined` where it holds no message. */
export function readOuterDatagram(packet: Uint8Array, length: number): OuterDatagram | undefined {
  const summary = summarisePacket(packet);
  if (summary === undefined || summary.protocol !== Protocol.udp || summary.body.length < Udp.size) return undefined;
  const { source, destination, body } = summary;
  const headerBytes = body.byteOffset - packet.byteOffset + Udp.size;
  const split = splitMessages(body.subarray(Udp.size), length - headerBytes);
  if (split === undefined) return undefined;
  return {
    source: endpoint(packet, source, readUint16(body, Udp.sourcePort)),
    destination: endpoint(packet, destination, readUint16(body, Udp.destinationPort)),
    headerBytes,
    ...split,
  };
}

function splitMessages(payload: Uint8Array, length: number): Pick<OuterDatagram, "messages" | "others"> | undefined {
  const distance = distanceOf(payload, length);
  const count = Math.ceil(length / distance);
  if (count > messagesLookedAt) return { messages: [], others: count };
  const messages: OuterMessage[] = [];
  for (let i = 0; i < count; i++) {
    const size = Math.min(distance, length - i * distance);
    const message = readMessage(payload.subarray(i * distance, i * distance + size), size);
    if (message !== undefined) messages.push(message);
  }
  return messages.length === 0 ? undefined : { messages, others: count - messages.length };
}

/** From one message to the next: a data message has the next counter for the same receiver. */
function distanceOf(payload: Uint8Array, length: number): number {
  if (payload.length < Data.payload || readUint32(payload, 0) !== Data.type) return length;
  const [receiver, counter] = [readUint32(payload, Data.receiver), readCounter(payload, Data.counter)];
  const last = Math.min(payload.length - Data.payload, length / 2);
  for (let at: number = Data.size; at <= last; at += 4) {
    const isNext =
      readUint32(payload, at) === Data.type &&
      readUint32(payload, at + Data.receiver) === receiver &&
      readCounter(payload, at + Data.counter) === counter + 1;
    if (isNext) return at;
  }
  return length;
}

function readMessage(bytes: Uint8Array, length: number): OuterMessage | undefined {
  if (bytes.length < Data.payload) return undefined;
  const whole = new Uint8Array(length); // what was cut off is not looked at, but its length is
  whole.set(bytes);
  const summary = summariseMessage(whole);
  if (summary === undefined) return undefined;
  const { kind, receiver, counter } = summary;
  return { kind: kind === "data" && length === Data.size ? "keepalive" : kind, length, receiver, counter };
}

function endpoint(packet: Uint8Array, address: string, port: number): string {
  return packet[Ipv4.versionAndLength] >> 4 === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}
