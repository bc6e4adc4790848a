/**
 * The steps `forward`, `nat`, `ping` and `dns`: two pings and two questions, all sent from the client at once, and how
 * far each came. What is missing at the end is explained by the first station it did not pass.
 */
import type { CapturedPacket } from "../os/packet-socket.ts";
import type { Capture } from "./capture.ts";
import { round, verify } from "./journal.ts";
import { echoKind, isUdpTo, type PacketSummary, summarisePacket } from "./packet-summary.ts";
import { ownProgram, type ProgramEvent } from "./program.ts";
import type { PingRun } from "./record.ts";
import type { DnsAnswer, WireguardSteps } from "./stages/wireguard-record.ts";
import { address, tunnelDevice } from "./topology.ts";
import type { Workbench } from "./workbench.ts";
import { askedName, zone } from "./zone.ts";

const pings = 3;
const dnsPort = 53;

export interface Traffic {
  readonly pings: readonly PingRun[];
  readonly answers: readonly Answer[];
}

/** What `programs/dns-question` says. */
type Answer = Omit<DnsAnswer, "name"> & { readonly error?: string };

/** Resolves when the last reply is in, or given up. */
export async function makeTraffic(bench: Workbench): Promise<Traffic> {
  const question = bench.host("client").start(ownProgram("programs/dns-question", askedName, ...address.dns));
  const runs = address.dns.map((destination) => bench.ping("client", { destination, count: pings }));
  const done = await Promise.all(runs);
  const { output } = await question.ended;
  const answers = output
    .split("\n")
    .flatMap((line) => (line === "" ? [] : (JSON.parse(line) as ProgramEvent & Answer)));
  return { pings: done, answers };
}

/** The captures along the way, while that traffic passed. */
export interface Stations {
  /** The client's end of the tunnel. */
  readonly client: Capture;
  /** The server's end of the tunnel. */
  readonly server: Capture;
  /** The dns host's link. */
  readonly dns: Capture;
}

/** Whether the server let the pings through: counted where they come out of its tunnel, and where the dns host gets them. */
export function checkForwarding({ server, dns }: Stations): WireguardSteps["forward"] {
  const requests = address.dns.map((destination) => {
    const arrived = requestsTo(server.drain(), destination);
    const reached = requestsTo(dns.drain(), destination);
    const expected = `the server to forward pings to ${destination}`;
    verify(arrived.length > 0, expected, `none came out of the tunnel on its ${tunnelDevice}`);
    const seen = `${arrived.length} came out of the tunnel on its ${tunnelDevice} and none reached the dns host's eth0`;
    verify(reached.length > 0, expected, seen);
    return { destination, count: reached.length };
  });
  return { requests };
}

/** Whether the dns host took the pings for the server's own. */
export function checkTranslation({ dns }: Stations): WireguardSteps["nat"] {
  const seen = address.dns.map((destination, i) => {
    const [{ source }] = requestsTo(dns.drain(), destination);
    verify(
      source === address.server[i],
      `${destination} to see the ping come from the server, ${address.server[i]}`,
      `it came from ${source}, to which the internet has no route`,
    );
    return { destination, source };
  });
  return { seen };
}

/** Whether every ping was answered; if not, how many requests and replies were seen at each station. */
export function checkPings({ pings: runs }: Traffic, stations: Stations): WireguardSteps["ping"] {
  for (const { destination, sent, replies } of runs) {
    const good = replies.filter(({ from }) => from === destination);
    const trail = (["client", "server", "dns"] as const).map((name) => {
      const packets = stations[name].drain();
      const there = requestsTo(packets, destination).length;
      const back = repliesFrom(packets, destination).length;
      return `${there} and ${back} at the ${name}`;
    });
    verify(
      good.length === sent,
      `${sent} replies from ${destination}`,
      `the program got ${good.length}; requests and replies that passed: ${trail.join(", ")}`,
    );
  }
  return { runs };
}

/** Whether the questions were answered, and rightly. */
export function checkAnswers({ answers }: Traffic, { dns }: Stations): WireguardSteps["dns"] {
  const verified = address.dns.map((server, i) => {
    const answer = answers.find((candidate) => candidate.server === server);
    const expected = `${server} to say that ${askedName} is ${zone[askedName][i]}`;
    verify(answer !== undefined, expected, "the question was not even asked");
    verify(answer.error === undefined, expected, `asking failed with ${answer.error}`);
    verify(answer.addresses.join() === zone[askedName][i], expected, `it said ${answer.addresses.join()}`);
    const questions = toDestination(dns.drain(), server).filter((packet) => isUdpTo(packet, dnsPort));
    const sources = [...new Set(questions.map(({ source }) => source))].join(" and ");
    verify(
      sources === address.server[i],
      `${server} to be asked by ${address.server[i]}`,
      `its link saw questions from ${sources || "nobody"}`,
    );
    const { type, addresses, milliseconds } = answer;
    return { answer: { server, name: askedName, type, addresses, milliseconds: round(milliseconds) }, source: sources };
  });
  return { answers: verified.map(({ answer }) => answer), seenFrom: verified.map(({ source }) => source) };
}

/** The echo requests to an address among captured packets. */
export function requestsTo(packets: readonly CapturedPacket[], destination: string): PacketSummary[] {
  return toDestination(packets, destination).filter((packet) => echoKind(packet) === "request");
}

function repliesFrom(packets: readonly CapturedPacket[], source: string): PacketSummary[] {
  const summaries = packets.flatMap(({ bytes }) => summarisePacket(bytes) ?? []);
  return summaries.filter((packet) => packet.source === source && echoKind(packet) === "reply");
}

function toDestination(packets: readonly CapturedPacket[], destination: string): PacketSummary[] {
  return packets
    .flatMap(({ bytes }) => summarisePacket(bytes) ?? [])
    .filter((packet) => packet.destination === destination);
}
