/**
 * What a reader that takes each read for one packet makes of a stream of packets. Pure. The stream's true boundaries are
 * those that warren's reader finds (`transport/packet-boundaries.ts`): whoever writes packets one after another into TCP
 * puts them there, however TCP then cuts the stream.
 */
import { concatBytes } from "../base/bytes.ts";
import { largestPacket, PacketBoundaries } from "../transport/packet-boundaries.ts";

export interface ReadTally {
  readonly reads: number;
  /** Reads that were one packet, as the naive reader takes all of them to be. */
  readonly whole: number;
  /** Reads that begin with a packet and go on with more: what follows the first is lost. */
  readonly joined: number;
  /** Reads that begin inside a packet: what they begin with is no header. */
  readonly torn: number;
  /** Whole packets in the stream. */
  readonly packets: number;
  /** Packets that the naive reader passes on intact: the first of every read that begins with a whole one. */
  readonly survivors: number;
  /** Bytes behind the last whole packet. */
  readonly rest: number;
  /** Where the first read begins that is not whole, and the boundaries within it, as offsets from its start. */
  readonly firstFault: { readonly read: number; readonly boundaries: readonly number[] } | undefined;
}

/** Judges reads of a stream, decoded, in order and from its beginning. */
export function tallyReads(reads: readonly Uint8Array[]): ReadTally {
  const ends = findEnds(concatBytes(...reads));
  const boundaries = new Set([0, ...ends]);
  let at = 0;
  const spans = reads.map(({ length }) => {
    const from = at;
    at += length;
    return { from, to: at };
  });
  const kinds = spans.map(({ from, to }) => {
    if (!boundaries.has(from)) return "torn";
    return boundaries.has(to) && !hasBetween(boundaries, from, to) ? "whole" : "joined";
  });
  const count = (wanted: string) => kinds.filter((kind) => kind === wanted).length;
  const fault = kinds.findIndex((kind) => kind !== "whole");
  const survives = ({ from, to }: { from: number; to: number }) => {
    const end = boundaries.has(from) ? ends.find((candidate) => candidate > from) : undefined;
    return end !== undefined && end <= to;
  };
  return {
    reads: reads.length,
    whole: count("whole"),
    joined: count("joined"),
    torn: count("torn"),
    packets: ends.length,
    survivors: spans.filter(survives).length,
    rest: at - (ends.at(-1) ?? 0),
    firstFault: fault < 0 ? undefined : { read: fault, boundaries: within(ends, spans[fault]) },
  };
}

/** Where each whole packet of the stream ends. */
function findEnds(stream: Uint8Array): number[] {
  const arena = new Uint8Array(stream.length + largestPacket);
  const packets = new PacketBoundaries(arena, 0, arena.length);
  arena.set(stream, packets.fill);
  packets.accept(stream.length);
  const ends: number[] = [];
  for (let start = packets.next(); start >= 0; start = packets.next()) ends.push(start + packets.length);
  return ends;
}

function hasBetween(boundaries: ReadonlySet<number>, from: number, to: number): boolean {
  for (let at = from + 1; at < to; at++) if (boundaries.has(at)) return true;
  return false;
}

function within(ends: readonly number[], { from, to }: { from: number; to: number }): number[] {
  return ends.filter((end) => end > from && end < to).map((end) => end - from);
}
