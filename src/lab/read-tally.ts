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
  /** Reads that begin with a whole packet and go on: what follows it is lost. */
  readonly joined: number;
  /** Reads that begin with a packet and end before it does. */
  readonly short: number;
  /** Reads that begin inside a packet: what they begin with is no header. */
  readonly torn: number;
  /** Whole packets in the stream. */
  readonly packets: number;
  /** Packets that the naive reader passes on intact: one for every read that is whole or joined. */
  readonly survivors: number;
  /** Bytes behind the last whole packet. */
  readonly rest: number;
  /** The first read that is joined, and the length of the packet it begins with. */
  readonly firstJoin: { readonly read: number; readonly packetBytes: number } | undefined;
}

type ReadKind = "whole" | "joined" | "short" | "torn";

/** Judges reads of a stream, decoded, in order and from its beginning. */
export function tallyReads(reads: readonly Uint8Array[]): ReadTally {
  const lengths = measurePackets(concatBytes(...reads));
  let at = 0;
  const kinds = reads.map(({ length }) => {
    const kind = judge(length, lengths.get(at));
    at += length;
    return kind;
  });
  const count = (wanted: ReadKind) => kinds.filter((kind) => kind === wanted).length;
  const [whole, joined, short, torn] = [count("whole"), count("joined"), count("short"), count("torn")];
  const packets = [...lengths.values()];
  const rest = at - packets.reduce((sum, length) => sum + length, 0);
  const first = kinds.indexOf("joined");
  const start = reads.slice(0, Math.max(0, first)).reduce((sum, { length }) => sum + length, 0);
  const firstJoin = first < 0 ? undefined : { read: first, packetBytes: lengths.get(start) ?? 0 };
  const survivors = whole + joined;
  return { reads: reads.length, whole, joined, short, torn, packets: packets.length, survivors, rest, firstJoin };
}

/** `packet` is the length of the packet that begins where the read does; `undefined` where none does. */
function judge(length: number, packet: number | undefined): ReadKind {
  if (packet === undefined) return "torn";
  if (length < packet) return "short";
  return length === packet ? "whole" : "joined";
}

/** The length of each whole packet of the stream by where it begins. */
function measurePackets(stream: Uint8Array): Map<number, number> {
  const arena = new Uint8Array(stream.length + largestPacket);
  const packets = new PacketBoundaries(arena, 0, arena.length);
  arena.set(stream, packets.fill);
  packets.accept(stream.length);
  const lengths = new Map<number, number>();
  for (let start = packets.next(); start >= 0; start = packets.next()) lengths.set(start, packets.length);
  return lengths;
}
