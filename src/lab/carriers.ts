/**
 * How a tunnel's packets look on the outside: for each VPN of the lab, which packet of a capture carries a certain inner
 * one, and what can be said of it by comparing the two. Pure. Nothing is assumed of what the tunnel did: a carrier is
 * what fits, and it must be the only one.
 */
import { equalBytes } from "../base/bytes.ts";
import { Protocol, readUint16, Tcp, Udp } from "../packet/ip.ts";
import type { MessageSummary } from "../wireguard/message-summary.ts";
import { countContaining, summariseMessageIn, summarisePacket } from "./packet-summary.ts";

/** What an inner packet became. */
export type Wrapping =
  | {
      readonly kind: "sealed";
      readonly type: number;
      readonly receiver: number;
      readonly counter: number;
      /** Lengths in bytes: the packet, the zeros behind it, the header before, the tag after; they make up the message. */
      readonly packetBytes: number;
      readonly paddingBytes: number;
      readonly headerBytes: number;
      readonly tagBytes: number;
      readonly messageBytes: number;
      /** How many outer packets contain the ping's payload: 0. */
      readonly showingPayload: number;
    }
  | { readonly kind: "xored"; readonly packetBytes: number; readonly streamBytes: number; readonly key: number };

export interface Carried {
  /** The outer packet. */
  readonly packet: Uint8Array;
  /** What its UDP datagram or TCP segment carries. */
  readonly payload: Uint8Array;
  readonly wrapping: Wrapping;
}

export interface Carrier {
  /** What fits an inner packet: all of what was captured at one place. `secret` is what the inner payload contains. */
  find(outer: readonly Uint8Array[], inner: Uint8Array, secret: Uint8Array): Carried[];
  /** The same payload, seen elsewhere. */
  payloadOf(outer: Uint8Array): Uint8Array | undefined;
}

const dataHeader = 16;
const tag = 16;
const paddingMultiple = 16;

/** WireGuard over UDP on this port (whitepaper §5.4.6): padded to a multiple of 16, sealed, a header of 16 before. */
export function wireguardCarrier(port: number): Carrier {
  const payloadOf = (outer: Uint8Array) => {
    const summary = summarisePacket(outer);
    const isOurs = summary !== undefined && summariseMessageIn(outer, port) !== undefined;
    return isOurs ? summary.body.subarray(Udp.size, readUint16(summary.body, Udp.length)) : undefined;
  };
  return {
    payloadOf,
    find: (outer, inner, secret) =>
      outer.flatMap((packet) => {
        const message = summariseMessageIn(packet, port);
        const payload = payloadOf(packet);
        if (message === undefined || payload === undefined) return [];
        const wrapping = describeSealing(message, inner, countContaining([{ bytes: packet }], secret));
        return wrapping === undefined ? [] : { packet, payload, wrapping };
      }),
  };
}

function describeSealing(
  { type, bytes, receiver, counter }: MessageSummary,
  inner: Uint8Array,
  showingPayload: number,
): Wrapping | undefined {
  const padded = Math.ceil(inner.length / paddingMultiple) * paddingMultiple;
  const fits = bytes === dataHeader + padded + tag;
  if (!fits || receiver === undefined || counter === undefined) return undefined; // of data alone there is a counter
  return {
    kind: "sealed",
    type,
    receiver,
    counter,
    packetBytes: inner.length,
    paddingBytes: padded - inner.length,
    headerBytes: dataHeader,
    tagBytes: tag,
    messageBytes: bytes,
    showingPayload,
  };
}

/** The seed's: the packet in the TCP stream as it is, but that every byte was XORed with the same one. */
export function classicCarrier(port: number): Carrier {
  const payloadOf = (outer: Uint8Array) => {
    const summary = summarisePacket(outer);
    if (summary === undefined || summary.protocol !== Protocol.tcp || summary.body.length < Tcp.size) return undefined;
    const { body } = summary;
    const isOurs = [Tcp.sourcePort, Tcp.destinationPort].some((at) => readUint16(body, at) === port);
    return isOurs ? body.subarray((body[Tcp.dataOffset] >> 4) * 4) : undefined;
  };
  return {
    payloadOf,
    find: (outer, inner) =>
      outer.flatMap((packet) => {
        const payload = payloadOf(packet);
        if (payload === undefined || payload.length !== inner.length) return [];
        const key = payload[0] ^ inner[0];
        const isInner = equalBytes(
          payload.map((byte) => byte ^ key),
          inner,
        );
        const wrapping = { kind: "xored", packetBytes: inner.length, streamBytes: payload.length, key } as const;
        return isInner ? { packet, payload, wrapping } : [];
      }),
  };
}
