/**
 * The stage `mtu`: what becomes of packets that are too long, inside the tunnel and under it; and one TCP stream through
 * WireGuard and through the seed's tunnel, over a way as long, slow and lossy as real ones.
 *
 *   tunnel → fits → refused → fragments → narrow → link → udp → tcp
 */
import { writeFileSync } from "node:fs";
import { IpAddress } from "../../base/address.ts";
import type { CapturedPacket } from "../../os/packet-socket.ts";
import { Ipv4, Protocol, readUint16 } from "../../packet/ip.ts";
import type { Capture } from "../capture.ts";
import { ClassicEnd, classicDevice, classicPort } from "../classic-end.ts";
import type { Host } from "../host.ts";
import { type Journal, round, verify } from "../journal.ts";
import { SlowLink } from "../slow-link.ts";
import { defineStage, type Stage } from "../stage.ts";
import { meterStreamDuring } from "../stream-meter.ts";
import { reassembleStreams, type TcpStream } from "../stream-reassembly.ts";
import { address, drawing, topology, tunnelDevice } from "../topology.ts";
import { makeTunnelConfigs } from "../tunnel-config.ts";
import { measureLatency, type SizedOutcome, sendSized, startEcho } from "../udp-probes.ts";
import type { Workbench } from "../workbench.ts";
import { type LoadedTunnel, type MtuSteps, mtuAccounts, type PassedPacket } from "./mtu-account.ts";

const lengths = { small: 100, largest: 1420, tooLong: 1421, narrow: 1400 } as const;
/** An IPv4 header, a UDP header, and what a data message adds: 16 bytes before the packet and 16 behind it. */
const overhead = 20 + 8 + 32;
const padding = 16;
const way = { delayMs: 20, bitsPerSecond: 20_000_000, queueBytes: 50_000 } as const;
const loseOneIn = 100;
const probes = { idle: 12, loaded: 40 } as const;
/** TCP in TCP is this much slower for the packets beside it at least, or the stage has shown nothing; it is more like 20. */
const leastTimes = 2;
/** struct icmphdr of "destination unreachable: fragmentation needed" (RFC 1191 §4). */
const TooBig = { type: 3, code: 4, nextMtu: 6 } as const;

export const mtuStage: Stage = defineStage<MtuSteps>({
  name: "mtu",
  description: "Packets that are too long, and TCP in UDP against TCP in TCP",
  drawing,
  topology,
  accounts: mtuAccounts,
  run,
});

async function run(bench: Workbench, journal: Journal<MtuSteps>): Promise<void> {
  const client = bench.host("client");
  // Every kernel has it, also for ordinary users, and it minds loss.
  client.setSysctl("net/ipv4/tcp_congestion_control", "reno");
  const configs = makeTunnelConfigs(false);
  const since = performance.now();
  const server = bench.startTunnel({ host: "server", config: configs.server, forward: true });
  await journal.prepare("tunnel", () => Promise.all([startEcho(bench), server.ready(address.tunnelServer)]), since);
  const own = bench.startTunnel({ host: "client", config: configs.client });
  await journal.step("tunnel", () => own.ready(address.tunnelClient), since);
  await journal.step("fits", () => sendFitting(bench));
  await journal.step("refused", () => sendRefused(bench));
  await journal.step("fragments", () => sendFragments(bench));
  await journal.step("narrow", () => sendThroughNarrow(bench));

  const link = await journal.prepare("link", () => SlowLink.open(bench, way));
  await journal.step("link", () => {
    const { delayMs, bitsPerSecond } = way;
    return { delayMs, megabitsPerSecond: bitsPerSecond / 1e6, lossPercent: 100 / loseOneIn };
  });
  const udp = await journal.step("udp", () => load(bench, link, tunnelDevice));
  await journal.step("tcp", async () => {
    await Promise.all([own.stop(), server.stop()]);
    await ClassicEnd.serve(bench).ready();
    await ClassicEnd.connect(bench).connected();
    return compare(await load(bench, link, classicDevice), udp);
  });
}

/** Pairs each packet on wg0 with the datagram it became: the lab's cables keep the order. */
async function sendFitting(bench: Workbench): Promise<MtuSteps["fits"]> {
  const { captures, outcomes } = await observe(bench, "whole", [lengths.small, lengths.largest]);
  expectOutcomes(outcomes, ["answered", "answered"]);
  const inner = passed(captures.inside, "wg0").filter(({ destination }) => destination === address.dns[0]);
  const outer = passed(captures.cable, "eth0").filter(
    ({ destination, bytes }) => destination === address.server[0] && bytes > overhead + Ipv4.size,
  );
  const pairs = inner.map(({ bytes }, i) => ({ inner: bytes, outer: outer[i]?.bytes ?? 0 }));
  for (const pair of pairs) {
    const padded = Math.min(Math.ceil(pair.inner / padding) * padding, lengths.largest);
    verify(pair.outer === padded + overhead, `${padded + overhead} bytes on the cable`, `there were ${pair.outer}`);
  }
  verify(pairs.length === 2, "two packets on wg0", `there were ${pairs.length}`);
  return { pairs };
}

async function sendRefused(bench: Workbench): Promise<MtuSteps["refused"]> {
  const { captures, outcomes } = await observe(bench, "whole", [lengths.tooLong]);
  expectOutcomes(outcomes, ["refused"]);
  const packets = passed(captures.inside, "wg0");
  verify(packets.length === 0, "nothing on wg0", `${packets.length} packets were there`);
  return { outcomes, packets };
}

/** Twice: the first answer is too long for the server's end of the tunnel, of which the server tells the dns host. */
async function sendFragments(bench: Workbench): Promise<MtuSteps["fragments"]> {
  const { captures, outcomes } = await observe(bench, "divisible", [lengths.tooLong, lengths.tooLong]);
  expectOutcomes(outcomes, ["lost", "answered"]);
  const fragments = passed(captures.inside, "client wg0").filter(({ destination }) => destination === address.dns[0]);
  const complaints = passed(captures.server, "server eth0").filter(({ nextMtu }) => nextMtu !== null);
  const answers = passed(captures.inside, "client wg0").filter(({ source }) => source === address.dns[0]);
  verify(fragments.length === 4, "two packets in two fragments each", `there were ${fragments.length} on wg0`);
  verify(complaints[0]?.nextMtu === lengths.largest, "the server to say which MTU", "it said none");
  verify(answers.length === 2, "one answer in two fragments", `there were ${answers.length} on wg0`);
  return { outcomes, packets: [...fragments.slice(0, 2), ...complaints, ...answers] };
}

/** The datagram is too long for the home router's way out. It says so to the client's kernel, which then fragments. */
async function sendThroughNarrow(bench: Workbench): Promise<MtuSteps["narrow"]> {
  const { routes } = bench.host("home").config;
  const route = routes.lookup(IpAddress.parse(address.server[0]))?.route;
  verify(route !== undefined, "the home router to have a way out", "it has none");
  routes.replace({ ...route, mtu: lengths.narrow }); // not the link's, which would drop what comes back as well
  const { captures, outcomes } = await observe(bench, "whole", [lengths.largest, lengths.largest]);
  routes.replace(route);
  forgetPathMtu(bench.host("client"));
  expectOutcomes(outcomes, ["lost", "answered"]);
  const before = passed(captures.cable, "client eth0");
  const first = before.find(({ source }) => source === address.client[0]);
  const complaint = before.find(({ nextMtu }) => nextMtu !== null);
  // Not where they are sent: the kernel's copy for a capture there may show what the home router makes of them.
  const fragments = passed(captures.server, "server eth0").filter(({ fragment }) => fragment !== null);
  verify(first?.whole === true, "a first datagram that must not be fragmented", "it may be");
  verify(complaint?.nextMtu === lengths.narrow, `the home router to say ${lengths.narrow}`, "it said nothing");
  verify(fragments.length === 2, "the second datagram in two fragments", `there were ${fragments.length}`);
  return { outcomes, packets: [first, complaint, ...fragments], mtu: lengths.narrow };
}

/** Or its kernel would go on fragmenting for ten minutes. The parameter can be written, and not read. */
function forgetPathMtu(host: Host): void {
  host.namespace.run(() => writeFileSync("/proc/sys/net/ipv4/route/flush", "1"));
}

async function observe(bench: Workbench, kind: "whole" | "divisible", sizes: readonly number[]) {
  using stack = new DisposableStack();
  const captures = {
    inside: stack.use(bench.host("client").capture(tunnelDevice)),
    cable: stack.use(bench.host("client").capture("eth0")),
    server: stack.use(bench.host("server").capture("eth0")),
  };
  const outcomes = await sendSized(bench, kind, sizes);
  for (const capture of Object.values(captures)) capture.drain();
  return { captures, outcomes };
}

function expectOutcomes(outcomes: readonly SizedOutcome[], expected: readonly SizedOutcome["outcome"][]): void {
  const seen = outcomes.map(({ length, outcome }) => `${length} bytes were ${outcome}`).join(", ");
  verify(outcomes.map(({ outcome }) => outcome).join() === expected.join(), expected.join(", then "), seen);
}

function passed(capture: Capture, where: string): PassedPacket[] {
  return capture.packets.flatMap(({ bytes }) => describe(bytes, where) ?? []);
}

function describe(bytes: CapturedPacket["bytes"], where: string): PassedPacket | undefined {
  if (bytes[0] >> 4 !== 4) return undefined;
  const flags = readUint16(bytes, Ipv4.flagsAndOffset);
  const [more, offset] = [(flags & 0x2000) !== 0, (flags & 0x1fff) * 8];
  const body = bytes.subarray((bytes[0] & 15) * 4);
  const isTooBig = bytes[Ipv4.protocol] === Protocol.icmp && body[0] === TooBig.type && body[1] === TooBig.code;
  return {
    where,
    source: addressAt(bytes, Ipv4.source),
    destination: addressAt(bytes, Ipv4.destination),
    bytes: bytes.length,
    whole: (flags & 0x4000) !== 0,
    fragment: more || offset > 0 ? { offset, more } : null,
    nextMtu: isTooBig ? readUint16(body, TooBig.nextMtu) : null,
  };
}

function addressAt(bytes: Uint8Array, at: number): string {
  return new IpAddress(bytes.subarray(at, at + 4)).toString();
}

/** A stream from the client to the dns host, with probes beside it. */
async function load(bench: Workbench, link: SlowLink, device: string): Promise<LoadedTunnel> {
  const client = bench.host("client");
  const idle = await measureLatency(bench, probes.idle);
  using _loss = link.lose(loseOneIn); // from here on: a lost probe would only cost time before
  using inside = client.capture(device);
  using cable = client.capture("eth0");
  const probe = () => measureLatency(bench, probes.loaded);
  const { stream, result: loaded } = await meterStreamDuring(bench, probe);
  const inner = streamTo(inside, address.dns[0]);
  const outer = streamTo(cable, address.server[0], classicPort);
  verify(inner !== undefined, "a TCP stream in the tunnel", `there is none on ${device}`);
  const counts = ({ segments, repeated }: TcpStream) => ({ segments, repeated });
  return { ...stream, idle, loaded, inner: counts(inner), outer: outer === undefined ? null : counts(outer) };
}

function streamTo(capture: Capture, host: string, port?: number): TcpStream | undefined {
  const streams = reassembleStreams(capture.drain().map(({ bytes }) => bytes));
  return streams.find((one) => one.destination === host && (port === undefined || one.destinationPort === port));
}

function compare(tcp: LoadedTunnel, udp: LoadedTunnel): MtuSteps["tcp"] {
  const times = round(tcp.loaded.median / udp.loaded.median);
  const seen = `it takes ${tcp.loaded.median} ms, and ${udp.loaded.median} ms in WireGuard`;
  verify(
    tcp.outer !== null && tcp.outer.repeated > 0,
    "the TCP outside to repeat what was lost",
    "it repeated nothing",
  );
  verify(udp.outer === null, "no TCP outside WireGuard", "there is one");
  verify(tcp.inner.repeated > 0, "the TCP inside to repeat as well", "it repeated nothing");
  verify(times >= leastTimes, `a packet beside a TCP in TCP to take ${leastTimes} times as long at least`, seen);
  return { ...tcp, times };
}
