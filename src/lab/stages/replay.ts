/**
 * The stage `replay`: an eavesdropper on the home router sends captured messages again, and the server drops every one
 * and counts why. Then how sessions follow one another: by a virtual clock for the rules of minutes, and on the real wire
 * for what a server does with the session before, and with the one before that.
 *
 *   session → repeat → answered → clock → rekey → drops
 */
import { randomBytes } from "node:crypto";
import { equalBytes, toBase64 } from "../../base/bytes.ts";
import { Data, Initiation, messageType, readCounter } from "../../wireguard/messages.ts";
import type { Capture } from "../capture.ts";
import { type Journal, verify } from "../journal.ts";
import { type Act, type ActResult, runNoisePeer } from "../noise-peer-run.ts";
import { ownProgram } from "../program.ts";
import { requestsTo } from "../reachability.ts";
import type { TunnelEnd } from "../record.ts";
import { defineStage, type Stage } from "../stage.ts";
import { address, drawing, topology, tunnelDevice, tunnelPort } from "../topology.ts";
import { makeTunnelConfigs } from "../tunnel-config.ts";
import { VirtualPair } from "../virtual-pair.ts";
import { seenMessages, type WireMessage } from "../wire-message.ts";
import type { Workbench } from "../workbench.ts";
import { type Repetition, type ReplaySteps, replayAccounts } from "./replay-account.ts";

const [destination] = address.tunnelServer;
const patienceMs = 15_000;
const virtualSeconds = 400;
/** A session is over after 180 s (whitepaper §6.2). */
const heldUp = [
  { seconds: 170, isDead: false },
  { seconds: 181, isDead: true },
] as const;

export const replayStage: Stage = defineStage<ReplaySteps>({
  name: "replay",
  description: "Captured WireGuard messages sent again, and how sessions follow one another",
  drawing,
  topology,
  accounts: replayAccounts,
  run,
});

async function run(bench: Workbench, journal: Journal<ReplaySteps>): Promise<void> {
  const configs = makeTunnelConfigs(false);
  using wire = bench.host("home").capture("lan");
  const since = performance.now();
  const server = bench.startTunnel({ host: "server", config: configs.server });
  await journal.prepare("session", () => server.ready(address.tunnelServer), since);
  const client = bench.startTunnel({ host: "client", config: configs.client });
  await journal.prepare("session", () => client.ready(address.tunnelClient), since);
  using inside = bench.host("server").capture(tunnelDevice);
  await journal.step("session", () => ping(bench, wire), since);
  const repetitions = await journal.step("repeat", () => repeat(bench, wire));
  await journal.step("answered", () => pingAgain(bench, inside));
  await journal.step("clock", watchClock);
  await journal.prepare("rekey", () => client.stop()); // its keys are the lab's own peer's from here on
  await journal.step("rekey", () => rekey(bench, configs.client));
  await journal.step("drops", async () => checkDrops(await server.stop(), repetitions.repetitions));
}

async function ping(bench: Workbench, wire: Capture): Promise<ReplaySteps["session"]> {
  const { replies } = await bench.ping("client", { destination, count: 1 });
  verify(replies.length === 1, `${destination} to answer`, "it did not");
  return { messages: seenMessages(wire).length, pings: replies.length };
}

/** Sends from the home router, which is no peer, what it captured: as it was, and once under another counter. */
async function repeat(bench: Workbench, wire: Capture): Promise<ReplaySteps["repeat"]> {
  const toServer = seenMessages(wire).filter((message) => message.destination === serverEndpoint());
  const initiation = pick(toServer, (message) => messageType(message) === Initiation.type, "an initiation");
  const data = pick(toServer, (message) => messageType(message) === Data.type && message.length > Data.size, "a ping");
  const changed = data.slice();
  changed[Data.counter] += 100; // which the server has not seen
  const attempts: [Uint8Array, Omit<Repetition, "type" | "bytes" | "counter">][] = [
    [initiation, { what: "the initiation, as it was", reason: "handshake-replayed" }],
    [data, { what: "the ping's data message, as it was", reason: "message-replayed" }],
    [changed, { what: "the same with another counter", reason: "message-undecryptable" }],
  ];
  using arrivals = bench.host("server").capture("eth0");
  const sender = bench
    .host("home")
    .start(
      ownProgram("programs/udp-sender", address.server[0], String(tunnelPort)),
      attempts.map(([bytes]) => toBase64(bytes)).join("\n"),
    );
  await sender.event("sent", patienceMs);
  // The client's own messages come from the same address, behind which the home router hides it.
  const hasArrived = ([bytes]: (typeof attempts)[number]) =>
    seenMessages(arrivals).some(({ message }) => equalBytes(message, bytes));
  const missing = () => attempts.filter((attempt) => !hasArrived(attempt)).length;
  await arrivals.find(() => (missing() === 0 ? true : undefined), patienceMs);
  verify(missing() === 0, `${attempts.length} messages to arrive`, `${missing()} did not`);
  const repetitions = attempts.map(([bytes, { what, reason }]) => ({
    what,
    type: bytes[0],
    bytes: bytes.length,
    counter: bytes[0] === Data.type ? readCounter(bytes, Data.counter) : null,
    reason,
  }));
  return { from: "the home router", repetitions };
}

/**
 * The server opens messages in the order they came, so that the answer to this ping says that it is done with the
 * repeated ones; and that it goes to the client, that it did not take the eavesdropper's address for the client's.
 */
async function pingAgain(bench: Workbench, inside: Capture): Promise<ReplaySteps["answered"]> {
  const { replies } = await bench.ping("client", { destination, count: 1 });
  verify(replies.length === 1, `${destination} to answer the client still`, "it did not");
  const pings = requestsTo(inside.drain(), destination).length;
  const expected = "two pings to have come out of the tunnel, the first one and this";
  verify(pings === 2, expected, `${pings} did`);
  return { destination, milliseconds: replies[0].milliseconds, pings };
}

/** The protocol's rules of minutes, which nobody wants to wait for. */
function watchClock(): ReplaySteps["clock"] {
  const start = performance.now();
  const random = (length: number) => Uint8Array.from(randomBytes(length));
  const pair = new VirtualPair(random);
  for (let second = 0; second < virtualSeconds; second++) {
    pair.send();
    pair.pass(1000);
  }
  const handshakes = pair.seen
    .filter(({ from, message }) => from === "client" && messageType(message) === Initiation.type)
    .map(({ at }) => at / 1000);
  verify(
    handshakes.join() === "0,120,240,360",
    "a handshake every 120 s",
    `they began after ${handshakes.join(", ")} s`,
  );
  const held = heldUp.map(({ seconds, isDead }) => {
    const late = new VirtualPair(random);
    late.send();
    const message = late.sendHeld();
    verify(message !== undefined, "a message to hold up", "there is no session");
    late.pass(seconds * 1000);
    const reason = late.inject(message) ?? null;
    const seen = reason === null ? "the message was taken" : `the message was dropped: ${reason}`;
    verify((reason !== null) === isDead, `a session of ${seconds} s to be ${isDead ? "over" : "alive"}`, seen);
    return { seconds, reason };
  });
  const { delivered: packets } = pair;
  return { handshakes, seconds: virtualSeconds, packets, milliseconds: Math.round(performance.now() - start), held };
}

/** Three sessions one after another. The server keeps the one before the current, and forgets the one before that. */
async function rekey(bench: Workbench, config: string): Promise<ReplaySteps["rekey"]> {
  const script: Act[] = [];
  for (const session of [0, 1, 2]) script.push({ kind: "handshake" }, { kind: "ping", session });
  script.splice(4, 0, { kind: "ping", session: 0 });
  script.push({ kind: "ping", session: 0 });
  const results = await runNoisePeer(bench, config, script);
  const answered = results.map((result) => result.answered);
  const expected = script.map((_, i) => i < script.length - 1);
  verify(
    answered.join() === expected.join(),
    "all to be answered but the last ping, in a session two handshakes old",
    `answered: ${answered.join(", ")}`,
  );
  return { acts: results.map((result, i) => describeAct(result, script, i)) };
}

function describeAct(result: ActResult, script: readonly Act[], i: number): ReplaySteps["rekey"]["acts"][number] {
  const act = script[i];
  const handshakes = script.slice(0, i).filter(({ kind }) => kind === "handshake").length;
  return {
    kind: result.event,
    remoteIndex: result.remoteIndex,
    counter: result.event === "ping" ? result.counter : null,
    session: (act.kind === "ping" ? act.session : handshakes) + 1,
    answered: result.answered,
  };
}

function checkDrops({ drops }: TunnelEnd, repetitions: readonly Repetition[]): ReplaySteps["drops"] {
  const expected = [...repetitions.map(({ reason }) => reason), "index-unknown"];
  const counted = expected.map((reason) => ({ reason, count: drops[reason] ?? 0 }));
  const seen = Object.entries(drops).map(([reason, count]) => `${count} ${reason}`);
  verify(
    counted.every(({ count }) => count === 1),
    `one each of ${expected.join(", ")}`,
    `warren counted ${seen.join(", ") || "nothing"}`,
  );
  return { counted };
}

function serverEndpoint(): string {
  return `${address.server[0]}:${tunnelPort}`;
}

function pick(messages: readonly WireMessage[], is: (message: Uint8Array) => boolean, what: string): Uint8Array {
  const found = messages.find(({ message }) => is(message));
  verify(found !== undefined, `${what} on the home router`, "it saw none");
  return found.message;
}
