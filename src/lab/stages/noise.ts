/**
 * The stage `noise`: a handshake between the lab's own peer and a `warren up`, caught on the home router and taken apart
 * field by field; what both sides compute along; what the server learns from it, what somebody on the way does, and what
 * is different when the same two do it again.
 *
 *   server → handshake → initiation → response → transcript → data → opened → eavesdropper → again
 */
import { IpAddress } from "../../base/address.ts";
import type { PrivateKey, PublicKey } from "../../base/keys.ts";
import { native } from "../../crypto/native.ts";
import { parseConfigFile } from "../../tunnel/config-file.ts";
import { CookieChecker } from "../../wireguard/cookies.ts";
import { authenticateInitiation, openInitiation } from "../../wireguard/handshake.ts";
import { Data, Initiation, messageType, Response } from "../../wireguard/messages.ts";
import type { Capture } from "../capture.ts";
import { type Journal, verify } from "../journal.ts";
import { messageFields, readStamp } from "../message-fields.ts";
import { type ActResult, runNoisePeer } from "../noise-peer-run.ts";
import { countContaining } from "../packet-summary.ts";
import { defineStage, type Stage } from "../stage.ts";
import { address, drawing, topology } from "../topology.ts";
import { makeTunnelConfigs, type TunnelConfigs } from "../tunnel-config.ts";
import { seenMessages, type WireMessage } from "../wire-message.ts";
import type { Workbench } from "../workbench.ts";
import { type NoiseSteps, noiseAccounts, type SeenMessage, type TranscriptRow } from "./noise-account.ts";

export const noiseStage: Stage = defineStage<NoiseSteps>({
  name: "noise",
  description: "A WireGuard handshake, byte by byte",
  drawing,
  topology,
  accounts: noiseAccounts,
  run,
});

/** What goes into the transcript, in order (whitepaper §5.4.2, §5.4.3), and the secrets mixed into the chaining key. */
const transcriptParts: readonly (readonly [what: string, secrets: string])[] = [
  ["the protocol's identifier", ""],
  ["the server's public key", ""],
  ["the client's ephemeral key", ""],
  ["the client's public key, sealed", "e, es"],
  ["the timestamp, sealed", "ss"],
  ["the server's ephemeral key", ""],
  ["a value made of the preshared key", "e, ee, se, psk"],
  ["nothing, sealed", ""],
];
/** How often the chaining key has changed at each of these. */
const chainings: readonly number[] = [0, 0, 0, 2, 3, 3, 7, 7];

async function run(bench: Workbench, journal: Journal<NoiseSteps>): Promise<void> {
  const configs = makeTunnelConfigs(false);
  using wire = bench.host("home").capture("lan");
  const server = bench.startTunnel({ host: "server", config: configs.server });
  await journal.step("server", () => server.ready(address.tunnelServer));

  const since = performance.now();
  const acts = [{ kind: "handshake" }, { kind: "ping", session: 0 }, { kind: "handshake" }] as const;
  const results = await journal.prepare("handshake", () => runNoisePeer(bench, configs.client, acts), since);
  await journal.step("handshake", () => describeHandshake(results), since);
  const messages = seenMessages(wire);
  const [first, second] = await journal.prepare("initiation", () => ofType(messages, Initiation.type, 2));
  const [response] = await journal.prepare("response", () => ofType(messages, Response.type, 2));
  const [data] = await journal.prepare("data", () => ofType(messages, Data.type, 1));
  await journal.step("initiation", () => describeMessage(first));
  await journal.step("response", () => describeMessage(response));
  await journal.step("transcript", () => describeTranscript(results[0]));
  await journal.step("data", () => describeMessage(data));
  const keys = keysOf(configs);
  await journal.step("opened", () => openAsServer(first.message, keys));
  await journal.step("eavesdropper", () => eavesdrop(wire, messages, keys));
  await journal.step("again", () => compareInitiations(first.message, second.message));
}

interface Keys {
  readonly serverPrivate: PrivateKey;
  readonly server: PublicKey;
  readonly client: PublicKey;
}

function keysOf(configs: TunnelConfigs): Keys {
  const [own, other] = [configs.server, configs.client].map(parseConfigFile);
  const { privateKey } = own.interface;
  verify(privateKey !== undefined, "a private key of the server's", "there is none");
  return { serverPrivate: privateKey, server: other.peers[0].publicKey, client: own.peers[0].publicKey };
}

function ofType(messages: readonly WireMessage[], type: number, count: number): WireMessage[] {
  const found = messages.filter(({ message }) => messageType(message) === type);
  verify(found.length >= count, `${count} messages of type ${type} on the home router`, `it saw ${found.length}`);
  return found;
}

function describeHandshake([first]: readonly ActResult[]): NoiseSteps["handshake"] {
  verify(first.event === "handshake" && first.remoteIndex !== null, "warren to answer", "it did not");
  return { milliseconds: first.milliseconds, localIndex: first.localIndex, remoteIndex: first.remoteIndex };
}

function describeMessage({ source, destination, message }: WireMessage): SeenMessage {
  const fields = messageFields(message);
  const covered = fields.reduce((sum, { length }) => sum + length, 0);
  verify(covered === message.length, "fields without gaps", `they cover ${covered} of ${message.length} bytes`);
  return { source, destination, bytes: message.length, fields };
}

/** That warren opened what was sealed with this hash, and answered, proves that it computed the same. */
function describeTranscript(first: ActResult): NoiseSteps["transcript"] {
  const entries = first.event === "handshake" ? first.transcript : [];
  const seen = entries.map((entry) => entry.chainings).join(", ");
  verify(
    seen === chainings.join(", "),
    `the chaining key to change as the paper has it, ${chainings}`,
    `it did ${seen}`,
  );
  const rows = transcriptParts.map(([what, secrets], i): TranscriptRow => {
    const { bytes, hash } = entries[i];
    return { what, bytes, hash, secrets };
  });
  return { rows };
}

/** What the server reads in an initiation, by the functions of warren itself. */
function openAsServer(message: Uint8Array, { serverPrivate, server, client }: Keys): NoiseSteps["opened"] {
  const opened = openInitiation(native, { privateKey: serverPrivate, publicKey: server }, message);
  verify(opened !== undefined, "the server's private key to open the initiation", "it does not");
  verify(opened.publicKey.equals(client), "the client's public key in it", `it is ${opened.publicKey}`);
  const shared = native.x25519(serverPrivate.bytes, opened.publicKey.bytes);
  const stamp = shared && authenticateInitiation(opened, shared);
  verify(stamp !== undefined, "a timestamp that proves the client's private key", "it does not open");
  const time = readStamp(stamp);
  return {
    clientKey: opened.publicKey.toString(),
    timestamp: new Date(time).toISOString(),
    agoMs: Math.round(Date.now() - time),
  };
}

function eavesdrop(
  wire: Capture,
  messages: readonly WireMessage[],
  { server, client }: Keys,
): NoiseSteps["eavesdropper"] {
  const needles = {
    "the client's public key": client.bytes,
    "the server's public key": server.bytes,
    "the inner address 10.8.0.2": IpAddress.parse(address.tunnelClient[0]).bytes,
  };
  const secrets = Object.entries(needles).map(([what, bytes]) => {
    const packets = countContaining(wire.packets, bytes);
    verify(packets === 0, `${what} in no packet`, `it is in ${packets}`);
    return { what, packets };
  });
  const [{ message }] = ofType(messages, Initiation.type, 1);
  const check = (key: PublicKey) => new CookieChecker(native, () => new Uint8Array(0), key).checkMac1(message);
  const [mac1WithServerKey, mac1WithOtherKey] = [check(server), check(client)];
  verify(mac1WithServerKey && !mac1WithOtherKey, "mac1 to name the server and nobody else", "it does not");
  return { messages: messages.length, secrets, mac1WithServerKey, mac1WithOtherKey };
}

function compareInitiations(first: Uint8Array, second: Uint8Array): NoiseSteps["again"] {
  const after = messageFields(second);
  const fields = messageFields(first).map(({ name, bytes }, i) => ({
    name,
    first: bytes,
    second: after[i].bytes,
    same: bytes === after[i].bytes,
  }));
  const same = fields.filter((field) => field.same).map(({ name }) => name);
  const expected = ["type", "reserved", "mac2"];
  verify(
    same.join() === expected.join(),
    `nothing but ${expected.join(", ")} to be the same`,
    `it was ${same.join(", ")}`,
  );
  return { fields };
}
