/**
 * The stage `classic`: the seed's VPN, as `warren classic` has it, across the little internet, and what somebody on the
 * way makes of it: the key with one XOR, and with it everything.
 *
 *   server → client → route → nat → ping → lines → eavesdropper → key → plaintext
 *
 * With `--trace` one ping is followed instead of what comes after the route, with `--shell` there is a shell.
 */
import { equalBytes, fromHex, toHex } from "../../base/bytes.ts";
import { Ipv4, readUint16 } from "../../packet/ip.ts";
import type { Capture } from "../capture.ts";
import { classicCarrier } from "../carriers.ts";
import { ClassicEnd, classicDevice, classicDrawing, classicPort } from "../classic-end.ts";
import { type Journal, verify } from "../journal.ts";
import { listening, startNameServer } from "../name-server.ts";
import { recordPacket } from "../packet-account.ts";
import { countContaining } from "../packet-summary.ts";
import { requestsTo } from "../reachability.ts";
import type { PingRun } from "../record.ts";
import { checkRoutes } from "../routing.ts";
import { openShell } from "../shell.ts";
import { type ShellSteps, shellAccounts } from "../shell-account.ts";
import { defineStage, type Stage } from "../stage.ts";
import { reassembleStreams } from "../stream-reassembly.ts";
import { address, topology } from "../topology.ts";
import { tracePing } from "../trace.ts";
import { traceAccounts } from "../trace-account.ts";
import type { TraceSteps } from "../trace-record.ts";
import type { Workbench } from "../workbench.ts";
import { applyKey, firstByte, keyFromFirstByte } from "../xor-analysis.ts";
import { type ClassicSteps, classicAccounts } from "./classic-account.ts";

const pings = 3;
const shownBytes = 64;
const [destination] = address.dns;

export const classicStage: Stage = defineStage<ClassicSteps & TraceSteps & ShellSteps>({
  name: "classic",
  description: "The naive VPN put right, which is warren classic, between the same hosts",
  drawing: classicDrawing,
  topology,
  breakages: ["nat", "route"],
  modes: ["trace", "shell"],
  accounts: { ...classicAccounts, ...traceAccounts, ...shellAccounts },
  run,
});

async function run(bench: Workbench, journal: Journal<ClassicSteps & TraceSteps & ShellSteps>): Promise<void> {
  // The seed speaks IPv4; the kernel would send IPv6 of its own into every new interface.
  for (const name of ["client", "server"] as const) bench.host(name).setSysctl("net/ipv6/conf/default/disable_ipv6", 1);
  const nat = bench.broken !== "nat";
  const server = ClassicEnd.serve(bench, { nat, verbose: true });
  await journal.step("server", () => checkServer(bench, server, nat));
  using wire = bench.host("home").capture("lan");
  const client = ClassicEnd.connect(bench, { route: bench.broken !== "route", verbose: true });
  await journal.step("client", async () => {
    await client.connected();
    return { said: client.lines };
  });
  using inside = bench.host("client").capture(classicDevice);
  using outOfTunnel = bench.host("server").capture(classicDevice);
  using dnsLink = bench.host("dns").capture("eth0");
  await journal.step("route", () => checkRoutes(bench.host("client"), classicDevice, [destination]));
  if (bench.mode === "trace") {
    return tracePing(bench, journal, { device: classicDevice, carrier: classicCarrier(classicPort) });
  }
  if (bench.mode === "shell") {
    await listening(startNameServer(bench.host("dns")));
    await journal.step("shell", () => openShell(bench, { device: classicDevice, carrier: `tcp port ${classicPort}` }));
    return;
  }
  const since = performance.now();
  const pinged = await bench.ping("client", { destination, count: pings, apart: true });
  await journal.step("nat", () => checkTranslation(outOfTunnel, dnsLink));
  await journal.step("ping", () => checkPings(pinged), since);
  await journal.step("lines", () => readLines(client, server));
  const stream = streamToServer(wire);
  await journal.step("eavesdropper", () => eavesdrop(bench, wire, inside, stream));
  const { key } = await journal.step("key", () => ({
    captured: stream[0],
    known: firstByte,
    key: keyFromFirstByte(stream),
  }));
  await journal.step("plaintext", () => checkPlaintext(applyKey(stream, key), inside));
}

async function checkServer(bench: Workbench, server: ClassicEnd, nat: boolean): Promise<ClassicSteps["server"]> {
  await server.ready();
  const host = bench.host("server");
  if (!nat) host.setForwarding(true);
  const forwards = host.getSysctl("net/ipv4/ip_forward") === "1";
  verify(forwards, "the server's kernel to forward", "net.ipv4.ip_forward is 0");
  const said = await server.saidOften(1, /XOR with 0x42 hides nothing/).then(() => server.lines);
  return { said, forwards: nat };
}

/** Where the pings seemed to come from, on both sides of the server's address translation. */
function checkTranslation(outOfTunnel: Capture, dnsLink: Capture): ClassicSteps["nat"] {
  const [inTunnel, atDestination] = [outOfTunnel, dnsLink].map(
    (capture) => requestsTo(capture.drain(), destination)[0]?.source ?? "nobody",
  );
  const [client] = address.tunnelClient;
  const [server] = address.server;
  verify(inTunnel === client, `the pings to come out of the tunnel from ${client}`, `they come from ${inTunnel}`);
  verify(atDestination === server, `${destination} to see them come from ${server}`, `they come from ${atDestination}`);
  return { inTunnel, atDestination };
}

function checkPings(run: PingRun): ClassicSteps["ping"] {
  const good = run.replies.filter(({ from }) => from === destination).length;
  verify(good === pings, `${pings} replies from ${destination}`, `the program got ${good}`);
  return { run };
}

/** What the ends say of each packet: one line when it goes in and one when it comes out, so many as there were pings. */
async function readLines(client: ClassicEnd, server: ClassicEnd): Promise<ClassicSteps["lines"]> {
  const line = /^\[(TUN→(SERVER|CLIENT)|(SERVER|CLIENT)→TUN)\] /;
  const [ofClient, ofServer] = await Promise.all([client, server].map((end) => end.saidOften(pings * 2, line)));
  for (const [who, lines, out, back] of [
    [
      "client",
      ofClient,
      "[TUN→SERVER] Read 84 bytes from TUN, encrypting...",
      "[SERVER→TUN] Received 84 bytes, decrypting...",
    ],
    [
      "server",
      ofServer,
      "[TUN→CLIENT] Read 84 bytes from TUN, encrypting...",
      "[CLIENT→TUN] Received 84 bytes, decrypting...",
    ],
  ] as const) {
    for (const text of [out, back]) {
      const count = lines.filter((said) => said === text).length;
      verify(count === pings, `the ${who} to say ${pings} times "${text}"`, `it said so ${count} times`);
    }
  }
  return { client: ofClient, server: ofServer };
}

/** What the client sent to the server over TCP, as the home router captured it; empty where it saw no such stream. */
function streamToServer(wire: Capture): Uint8Array {
  const streams = reassembleStreams(wire.drain().map(({ bytes }) => bytes));
  const toServer = streams.find(
    ({ destination: to, destinationPort }) => to === address.server[0] && destinationPort === classicPort,
  );
  return toServer?.bytes ?? new Uint8Array(0);
}

function eavesdrop(bench: Workbench, wire: Capture, inside: Capture, stream: Uint8Array): ClassicSteps["eavesdropper"] {
  verify(wire.dropped === 0, "a complete capture", `${wire.dropped} packets did not fit`);
  verify(stream.length > 0, "a TCP stream from the client to the server", "the home router saw none");
  const pattern = fromHex(bench.pattern) ?? new Uint8Array(0);
  const showingPayload = countContaining(wire.packets, pattern);
  verify(showingPayload === 0, "the ping's payload in no packet as it was sent", `${showingPayload} have it`);
  verify(countContaining(inside.drain(), pattern) > 0, `it in the client's ${classicDevice}`, "it is not there either");
  const first = toHex(stream.subarray(0, shownBytes));
  return { packets: wire.packets.length, streamBytes: stream.length, first, showingPayload };
}

/** What the stream is under the key: nothing but packets, and among them every one that went into the tunnel. */
function checkPlaintext(plain: Uint8Array, inside: Capture): ClassicSteps["plaintext"] {
  const packets = splitPackets(plain);
  const explained = packets.reduce((sum, { length }) => sum + length, 0);
  verify(explained === plain.length, `all ${plain.length} bytes to be packets`, `${explained} are`);
  const sent = sentInto(inside);
  const missing = sent.filter((packet) => !packets.some((found) => equalBytes(found, packet))).length;
  verify(missing === 0, `every packet that went into ${classicDevice} among them`, `${missing} are not`);
  const own = packets.filter((packet) => !sent.some((other) => equalBytes(packet, other)));
  return { packets: packets.length, fromDevice: sent.length, others: own.map(describe), ...recordPacket(sent[0]) };
}

/** IPv4 packets one after another, each as long as its header says; it ends where there is none. */
function splitPackets(plain: Uint8Array): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let at = 0; at + Ipv4.size <= plain.length && plain[at] === firstByte; ) {
    const packet = plain.subarray(at, at + readUint16(plain, at + Ipv4.totalLength));
    if (packet.length < Ipv4.size) break;
    packets.push(packet);
    at += packet.length;
  }
  return packets;
}

/** Such as `28 bytes of protocol 253`. */
function describe(packet: Uint8Array): string {
  return `${packet.length} bytes of protocol ${packet[Ipv4.protocol]}`;
}

/** The pings as they went into the client's end of the tunnel. */
function sentInto(inside: Capture): Uint8Array[] {
  const packets = inside.drain().filter(({ outgoing }) => outgoing);
  verify(packets.length > 0, `packets in the client's ${classicDevice}`, "there are none");
  return packets.map(({ bytes }) => bytes);
}
