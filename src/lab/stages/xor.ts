/**
 * The stage `xor`: the seed's tunnel, a page read through it, and an eavesdropper on the home router who has the captured
 * bytes alone and ends up with the password. What it finds is compared with what was really said.
 *
 *   session → capture → frequencies → key → packets → plaintext → replay
 */
import { toBase64, toHex } from "../../base/bytes.ts";
import type { Capture } from "../capture.ts";
import { ClassicEnd, classicDrawing, classicPort } from "../classic-end.ts";
import { type Journal, verify } from "../journal.ts";
import { countContaining, echoKind, summarisePacket } from "../packet-summary.ts";
import { ownProgram, type ProgramEvent } from "../program.ts";
import { requestsTo } from "../reachability.ts";
import { defineStage, type Stage } from "../stage.ts";
import { reassembleStreams, type TcpStream } from "../stream-reassembly.ts";
import { address, topology } from "../topology.ts";
import type { Workbench } from "../workbench.ts";
import { applyKey, countBytes, keyFromFirstByte, type Reading, tryEveryKey } from "../xor-analysis.ts";
import { type XorSteps, xorAccounts } from "./xor-account.ts";

const webPort = 80;
const page = "/diary";
const credentials = "rabbit:three-carrots";
const patienceMs = 15_000;
const shown = { streamBytes: 24, counts: 4, trials: 2, packets: 6 } as const;

export const xorStage: Stage = defineStage<XorSteps>({
  name: "xor",
  description: "A session of warren classic, and somebody on the way who reads what is in it",
  drawing: classicDrawing,
  topology,
  accounts: xorAccounts,
  run,
});

async function run(bench: Workbench, journal: Journal<XorSteps>): Promise<void> {
  // The seed speaks IPv4; the kernel would send IPv6 of its own into every new interface.
  for (const name of ["client", "server"] as const) bench.host(name).setSysctl("net/ipv6/conf/default/disable_ipv6", 1);
  using wire = bench.host("home").capture("lan");
  using dnsLink = bench.host("dns").capture("eth0");
  const since = performance.now();
  const client = await journal.prepare("session", () => connect(bench));
  const { status, text } = await journal.prepare("session", () => readPage(bench));
  await journal.step("session", () => ({ page, status, bytes: text.length }), since);
  const [destination] = address.dns;
  await journal.prepare("capture", () => bench.ping("client", { destination, count: 1 }));

  // From here on with the captured bytes alone.
  const streams = captured(wire);
  const own = await journal.prepare("capture", () => streamTo(streams, address.server[0], classicPort));
  await journal.step("capture", () => describeCapture(wire, streams, own));
  await journal.step("frequencies", () => ({
    of: own.bytes.length,
    commonest: countBytes(own.bytes).slice(0, shown.counts),
  }));
  const readings = tryEveryKey(own.bytes);
  await journal.step("key", () => describeKey(own, readings));
  const [{ key, packets, sound }] = readings;
  await journal.step("packets", () => describePackets(packets));
  await journal.step("plaintext", () => {
    const [back] = tryEveryKey(streamFrom(streams, address.server[0], classicPort).bytes);
    return describePlaintext([...sound, ...back.sound], text);
  });
  await journal.step("replay", async () => {
    await client.stop(); // the address it had is free again
    return replay(bench, dnsLink, applyKey(findPing(sound), key));
  });
}

async function connect(bench: Workbench): Promise<ClassicEnd> {
  const server = ClassicEnd.serve(bench);
  const web = bench.host("dns").start(ownProgram("programs/web-server", address.dns[0], String(webPort)));
  await server.ready();
  const client = ClassicEnd.connect(bench);
  await client.connected();
  await web.event("listening", patienceMs);
  return client;
}

async function readPage(bench: Workbench): Promise<{ status: number; text: string }> {
  const parameters = [address.dns[0], String(webPort), page, credentials];
  const reader = bench.host("client").start(ownProgram("programs/web-reader", ...parameters));
  const event = (await reader.event("page", patienceMs)) as ProgramEvent & { status: number; text: string };
  verify(event.status === 200, `status 200 for ${page}`, `it is ${event.status}`);
  return event;
}

function captured(wire: Capture): TcpStream[] {
  return reassembleStreams(wire.drain().map(({ bytes }) => bytes));
}

function streamTo(streams: readonly TcpStream[], host: string, port: number): TcpStream {
  const stream = streams.find((one) => one.destination === host && one.destinationPort === port);
  verify(stream !== undefined, `a TCP stream to ${host}, port ${port}`, "the home router saw none");
  return stream;
}

function streamFrom(streams: readonly TcpStream[], host: string, port: number): TcpStream {
  const stream = streams.find((one) => one.source === host && one.sourcePort === port);
  verify(stream !== undefined, `a TCP stream from ${host}, port ${port}`, "the home router saw none");
  return stream;
}

function describeCapture(wire: Capture, streams: readonly TcpStream[], own: TcpStream): XorSteps["capture"] {
  verify(wire.dropped === 0, "a complete capture", `${wire.dropped} packets did not fit`);
  const password = Buffer.from(Buffer.from(credentials).toString("base64"));
  const containingPassword = countContaining(wire.packets, password);
  verify(containingPassword === 0, "the password to be in no packet as it was typed", `${containingPassword} have it`);
  return {
    packets: wire.packets.length,
    streams: streams.map(({ source, sourcePort, destination, destinationPort, segments, bytes }) => ({
      source: `${source}:${sourcePort}`,
      destination: `${destination}:${destinationPort}`,
      segments,
      bytes: bytes.length,
    })),
    first: toHex(own.bytes.subarray(0, shown.streamBytes)),
    containingPassword,
  };
}

function describeKey(own: TcpStream, readings: readonly Reading[]): XorSteps["key"] {
  const [best] = readings;
  const [{ byte: byStatistics }] = countBytes(own.bytes);
  const byFirstByte = keyFromFirstByte(own.bytes);
  const of = own.bytes.length;
  const unsound = best.packets.filter((packet) => !best.sound.includes(packet)).length;
  const read = best.packets.reduce((sum, { length }) => sum + length, 0);
  verify(read === of, "a key under which the whole stream is packets", `the best makes packets of ${read} bytes`);
  // Between warrens the first packet is a greeting, whose checksum is wrong on purpose (`transport/greeting.ts`).
  verify(unsound <= 1, "right header checksums in all but a greeting", `${unsound} are wrong`);
  verify(readings[1].explained === 0, "no other key to make a single packet", `0x${readings[1].key.toString(16)} does`);
  for (const [how, guess] of Object.entries({ statistics: byStatistics, "the first byte": byFirstByte })) {
    verify(guess === best.key, `${how} to name the key that the checksums prove, ${best.key}`, `it named ${guess}`);
  }
  const trials = readings
    .slice(0, shown.trials)
    .map(({ key, sound, explained }) => ({ key, packets: sound.length, explained }));
  return { byStatistics, byFirstByte, of, trials, unsound };
}

function describePackets(packets: readonly Uint8Array[]): XorSteps["packets"] {
  const first = packets.slice(0, shown.packets).flatMap((packet) => {
    const summary = summarisePacket(packet);
    return summary === undefined ? [] : { ...pick(summary), bytes: packet.length };
  });
  return { count: packets.length, first };
}

function pick({ source, destination, protocol }: { source: string; destination: string; protocol: number }) {
  return { source, destination, protocol };
}

/** Compares what was found out with what was said. */
function describePlaintext(packets: readonly Uint8Array[], text: string): XorSteps["plaintext"] {
  const streams = reassembleStreams(packets);
  const [destination] = address.dns;
  const request = Buffer.from(streamTo(streams, destination, webPort).bytes).toString();
  const response = Buffer.from(streamFrom(streams, destination, webPort).bytes).toString();
  const [, encoded = ""] = /^authorization: Basic (\S+)/im.exec(request) ?? [];
  const found = Buffer.from(encoded, "base64").toString();
  verify(found === credentials, `the credentials that were used, ${credentials}`, `${JSON.stringify(found)} was found`);
  verify(response.includes(text.trim()), "the page that was read", "it is not in the stream that was put together");
  const lines = (message: string) => message.trimEnd().split("\r\n");
  return { request: lines(request), response: lines(response), credentials: found };
}

function findPing(packets: readonly Uint8Array[]): Uint8Array {
  const ping = packets.find((packet) => {
    const summary = summarisePacket(packet);
    return summary !== undefined && echoKind(summary) === "request";
  });
  verify(ping !== undefined, "a ping among the packets", "there is none");
  return ping;
}

/** The home router sends what it captured to the server, as a client of its own. Nobody asks who it is. */
async function replay(bench: Workbench, dnsLink: Capture, bytes: Uint8Array): Promise<XorSteps["replay"]> {
  const [destination] = address.dns;
  const count = () => requestsTo(dnsLink.drain(), destination).length;
  const before = count();
  const parameters = [address.server[0], String(classicPort)];
  bench.host("home").start(ownProgram("programs/tcp-sender", ...parameters), toBase64(bytes));
  await dnsLink.find(() => (count() > before ? true : undefined), patienceMs);
  const after = count();
  verify(after === before + 1, "the replayed ping to reach the dns host", `it has seen ${after - before} more`);
  return { bytes: bytes.length, from: "the home router", before, after };
}
