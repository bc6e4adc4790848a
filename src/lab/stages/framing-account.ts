/** What the steps of the stage `framing` find out, and how they read. Pure. */
import type { ReadTally } from "../read-tally.ts";
import type { PingRun } from "../record.ts";
import type { StagePlan } from "../stage.ts";
import type { MeteredStream } from "../stream-meter.ts";

/** A stream, and how often the TCP in the tunnel had to repeat itself. */
export interface InnerStream extends MeteredStream {
  readonly segments: number;
  /** Segments with nothing in them that had not been sent before. */
  readonly repeated: number;
}

/** In the order of the steps. */
export type FramingSteps = {
  ping: PingRun;
  stream: InnerStream;
  /** Of the first reads; `refused` of all of them. */
  reads: Omit<ReadTally, "firstJoin" | "rest"> & { readonly refused: number; readonly of: number };
  fault: {
    /** Its number, from 1, and its length. */
    readonly read: number;
    readonly bytes: number;
    /** The IPv4 header it begins with, in hexadecimal, and the total length in it. */
    readonly header: string;
    readonly packetBytes: number;
    /** The next packet's first bytes, which the naive reader never sees as such. */
    readonly next: string;
    /** How the read after it begins. */
    readonly following: { readonly bytes: number; readonly first: string } | null;
  };
  boundaries: { readonly bytes: number; readonly packets: number; readonly rest: number };
  warren: InnerStream & { readonly times: number };
};

export const framingAccounts: StagePlan<FramingSteps>["accounts"] = {
  ping: ({ destination, replies }) => ({
    summary: `through the naive VPN ${destination} answers ${replies.length} pings: one packet, one read`,
  }),
  stream: (stream) => ({ summary: `the same VPN under load: ${inWords(stream)}` }),
  reads: ({ of, reads, whole, joined, short, torn, packets, survivors, refused }) => ({
    summary: `what the naive server made of its first ${reads} reads, of ${of}`,
    evidence: [
      `${count(whole)} reads were one packet`,
      `${count(joined)} were a whole packet and the beginning of the next`,
      `${count(short)} were the beginning of a packet`,
      `${count(torn)} began inside a packet`,
      `${count(packets)} packets were in them, of which it passed on ${survivors}; the device refused ${refused} writes`,
    ],
  }),
  fault: ({ read, bytes, header, packetBytes, next, following }) => ({
    summary: `read ${read} returned ${bytes} bytes`,
    evidence: [
      `at 0 an IPv4 header, total length ${packetBytes}:`,
      `  ${header}`,
      `at ${packetBytes} the next packet begins, which the reader takes for the end of the first:`,
      `  ${next} …`,
      ...(following === null ? [] : [`the read after it, ${following.bytes} bytes, begins:`, `  ${following.first} …`]),
    ],
  }),
  boundaries: ({ bytes, packets, rest }) => ({
    summary: `warren's reader finds ${packets} packets in the same ${bytes} bytes, and ${rest} bytes of one not yet whole`,
  }),
  warren: ({ times, ...stream }) => ({
    summary: `two warrens with that reader: ${inWords(stream)}, ${times} times as fast`,
  }),
};

function inWords({ megabitsPerSecond, segments, repeated }: InnerStream): string {
  return `${megabitsPerSecond} Mbit/s; the TCP inside sent ${segments} segments, ${repeated} of them again`;
}

function count(value: number): string {
  return String(value).padStart(6);
}
