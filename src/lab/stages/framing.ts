/**
 * The stage `framing`: the naive VPN, which takes each read from TCP for one packet, first with pings, then under load;
 * what its reads really held; and warren's reader on the same bytes.
 *
 *   ping → stream → reads → fault → boundaries → warren
 */
import { toHex } from "../../base/bytes.ts";
import { Ipv4 } from "../../packet/ip.ts";
import { ClassicEnd, classicDevice, classicDrawing } from "../classic-end.ts";
import { type Journal, verify } from "../journal.ts";
import { NaivePair } from "../naive-pair.ts";
import { type ReadTally, tallyReads } from "../read-tally.ts";
import { defineStage, type Stage } from "../stage.ts";
import { meterStream } from "../stream-meter.ts";
import { reassembleStreams } from "../stream-reassembly.ts";
import { address, topology } from "../topology.ts";
import type { Workbench } from "../workbench.ts";
import { type FramingSteps, framingAccounts, type InnerStream } from "./framing-account.ts";

const pings = 3;
const streamMs = { naive: 1000, warren: 500 } as const;
/** Warren is this much faster at least, or the stage has shown nothing; it is more like a hundred times. */
const leastTimes = 3;
const shownBytes = 20;

export const framingStage: Stage = defineStage<FramingSteps>({
  name: "framing",
  description: "The naive VPN, and what TCP does to its packets",
  drawing: classicDrawing,
  topology,
  accounts: framingAccounts,
  run,
});

async function run(bench: Workbench, journal: Journal<FramingSteps>): Promise<void> {
  // The seed speaks IPv4; the kernel would send IPv6 of its own into every new interface.
  for (const name of ["client", "server"] as const) bench.host(name).setSysctl("net/ipv6/conf/default/disable_ipv6", 1);
  const { stream, reads, first, refused } = await observeNaive(bench, journal);
  const tally = tallyReads(first);
  await journal.step("reads", () => checkReads(tally, reads, refused));
  await journal.step("fault", () => describeFault(tally, first));
  await journal.step("boundaries", () => checkBoundaries(tally, first));

  await journal.step("warren", () => compare(bench, stream));
}

async function observeNaive(bench: Workbench, journal: Journal<FramingSteps>) {
  const since = performance.now();
  using pair = await journal.prepare("ping", () => NaivePair.start(bench), since);
  const [destination] = address.dns;
  await journal.step(
    "ping",
    async () => {
      const run = await bench.ping("client", { destination, count: pings, apart: true });
      verify(run.replies.length === pings, `${pings} replies`, `${run.replies.length} came`);
      return run;
    },
    since,
  );
  const stream = await journal.step("stream", () => meterInner(bench, streamMs.naive));
  const reads = await journal.prepare("reads", () => pair.end());
  return { stream, ...reads };
}

async function meterInner(bench: Workbench, milliseconds: number): Promise<InnerStream> {
  using inside = bench.host("client").capture(classicDevice);
  const metered = await meterStream(bench, milliseconds);
  const packets = inside.drain().map(({ bytes }) => bytes);
  const own = reassembleStreams(packets).find(({ destination }) => destination === address.dns[0]);
  return { ...metered, segments: own?.segments ?? 0, repeated: own?.repeated ?? 0 };
}

function checkReads(tally: ReadTally, of: number, refused: number): FramingSteps["reads"] {
  const { firstJoin: _, rest: __, ...counts } = tally;
  verify(tally.joined > 0, "reads with more than one packet in them", "TCP joined none");
  verify(tally.survivors < tally.packets, "the naive reader to lose packets", "it lost none");
  return { ...counts, refused, of };
}

function describeFault({ firstJoin }: ReadTally, reads: readonly Uint8Array[]): FramingSteps["fault"] {
  verify(firstJoin !== undefined, "a read of a packet and more", "there is none");
  const { read: position, packetBytes } = firstJoin;
  const read = reads[position];
  const following = reads[position + 1];
  return {
    read: position + 1,
    bytes: read.length,
    header: spaced(read.subarray(0, Ipv4.size)),
    packetBytes,
    next: spaced(read.subarray(packetBytes, packetBytes + shownBytes)),
    following:
      following === undefined ? null : { bytes: following.length, first: spaced(following.subarray(0, shownBytes)) },
  };
}

function checkBoundaries({ packets, rest }: ReadTally, reads: readonly Uint8Array[]): FramingSteps["boundaries"] {
  const bytes = reads.reduce((sum, { length }) => sum + length, 0);
  const longest = 1500;
  verify(rest < longest, "every byte but those of a last, unfinished packet to be read", `${rest} are left`);
  return { bytes, packets, rest };
}

async function compare(bench: Workbench, naive: InnerStream): Promise<FramingSteps["warren"]> {
  await ClassicEnd.serve(bench).ready();
  await ClassicEnd.connect(bench).connected();
  const stream = await meterInner(bench, streamMs.warren);
  const times = Math.round(stream.megabitsPerSecond / naive.megabitsPerSecond);
  const seen = `it carried ${stream.megabitsPerSecond} Mbit/s, the naive one ${naive.megabitsPerSecond}`;
  verify(times >= leastTimes, `warren to be at least ${leastTimes} times as fast`, seen);
  return { ...stream, times };
}

function spaced(bytes: Uint8Array): string {
  return toHex(bytes).match(/../g)?.join(" ") ?? "";
}
