/**
 * The lab's own WireGuard peer on a UDP socket, which does what a script says: `noise-peer`, with a JSON object on
 * standard input (`NoisePeerInput`). Of each act it says what came of it: `handshake` with the transcript, `ping` with
 * whether it was answered. It ends after the last act.
 */
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Endpoint, IpAddress } from "../../base/address.ts";
import { toHex } from "../../base/bytes.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../../base/keys.ts";
import { native } from "../../crypto/native.ts";
import { HandshakeInitiationInterval } from "../../wireguard/constants.ts";
import { Data, Response } from "../../wireguard/messages.ts";
import { stampAfter } from "../../wireguard/timestamp.ts";
import { makeEchoRequest } from "../echo-request.ts";
import type { NoisePeerInput } from "../noise-peer-run.ts";
import { OwnPeer, type OwnSession } from "../own-peer.ts";
import { echoKind, summarisePacket } from "../packet-summary.ts";
import { RecordedPrimitives } from "../recorded-primitives.ts";

/** For an answer that comes at once where the machine has nothing else to do. */
const patienceMs = 2000;
const payloadLength = 56;

const input: NoisePeerInput = JSON.parse(readFileSync(0, "utf8"));
const server = Endpoint.parse(input.endpoint);
const primitives = new RecordedPrimitives(native);
const privateKey = PrivateKey.parse(input.privateKey);
const peer = new OwnPeer({
  primitives,
  identity: { privateKey, publicKey: new PublicKey(native.publicKey(privateKey.bytes)) },
  peer: PublicKey.parse(input.serverKey),
  presharedKey: PresharedKey.parse(input.presharedKey),
});
const socket = createSocket("udp4");
let stamp: Uint8Array | undefined;
let sequence = 0;
let heard: (message: Uint8Array) => void = () => {};
socket.on("message", (message) => heard(message));

for (const act of input.script) {
  if (act.kind === "handshake") await handshake();
  else await ping(act.session);
}
socket.close();

async function handshake(): Promise<void> {
  if (stamp !== undefined) await delay(2 * HandshakeInitiationInterval); // sooner would be dropped as a flood
  stamp = stampAfter(stamp, Date.now());
  const localIndex = randomBytes(4).readUInt32LE();
  const initiation = peer.initiate({ localIndex, ephemeral: Uint8Array.from(randomBytes(32)), timestamp: stamp });
  const start = performance.now();
  const session = await exchange(initiation, (message) =>
    message[0] === Response.type ? peer.complete(message) : undefined,
  );
  say({
    event: "handshake",
    answered: session !== undefined,
    milliseconds: performance.now() - start,
    localIndex,
    remoteIndex: session?.remoteIndex ?? null,
    transcript: primitives.mixed.map(({ data, hash, chainings }) => ({
      bytes: data.length,
      hash: toHex(hash),
      chainings,
    })),
  });
}

async function ping(which: number): Promise<void> {
  const session: OwnSession | undefined = peer.sessions[which];
  if (session === undefined) {
    console.error(`there is no session ${which + 1}: its handshake was not answered`);
    process.exit(1);
  }
  const [source, destination] = [input.source, input.destination].map(IpAddress.parse);
  sequence++;
  const request = makeEchoRequest(source, destination, sequence, Uint8Array.from(randomBytes(payloadLength)));
  const { counter, remoteIndex } = session;
  const reply = await exchange(peer.seal(session, request), (message) => {
    const packet = message[0] === Data.type ? peer.open(message) : undefined;
    const summary = packet && summarisePacket(packet);
    return summary !== undefined && echoKind(summary) === "reply" ? packet : undefined;
  });
  say({ event: "ping", counter, remoteIndex, bytes: request.length, answered: reply !== undefined });
}

/** Sends, and resolves with what `read` makes of an answer, or `undefined` when none came in time. */
async function exchange<T>(
  message: Uint8Array | undefined,
  read: (answer: Uint8Array) => T | undefined,
): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<T | undefined>();
  heard = (answer) => {
    const found = read(Uint8Array.from(answer));
    if (found !== undefined) resolve(found);
  };
  if (message !== undefined) socket.send(message, server.port, server.address.toString());
  const timer = setTimeout(resolve, patienceMs, undefined);
  const found = await promise;
  clearTimeout(timer);
  return found;
}

function say(event: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify(event));
}
