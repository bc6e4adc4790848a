/**
 * A program for host a: as many initiators as it is told, in front of one responder. Its first line of input is a `Cast`;
 * it answers with the initiators' public keys, for the responder to know. Each further line is a `Scene`, answered by an
 * `Outcome`; all JSON. So every responder meets the same load, made by warren's own Noise.
 *
 * Initiations are made before the scene begins. `inFlight` of them are on their way at any time, fewer than what makes
 * warren or wireguard-go believe itself under load (128 waiting), so that neither asks for cookies nor limits a source;
 * and initiators take turns, since both refuse a second initiation of one peer within 20 ms.
 */
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { Endpoint } from "../../src/base/address.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../../src/base/keys.ts";
import { nonceOf } from "../../src/crypto/primitives.ts";
import { ArenaPrimitives } from "../../src/dataplane/arena-primitives.ts";
import { Arena } from "../../src/os/arena.ts";
import { libc } from "../../src/os/libc.ts";
import { Poller } from "../../src/os/poller.ts";
import { sockaddrOf } from "../../src/os/sockaddr.ts";
import { must } from "../../src/os/system-error.ts";
import { CookieJar } from "../../src/wireguard/cookies.ts";
import {
  type Correspondent,
  consumeResponse,
  createInitiation,
  type Identity,
  type Initiated,
} from "../../src/wireguard/handshake.ts";
import { CookieReply, Data, Initiation, Response, readUint32, writeUint32 } from "../../src/wireguard/messages.ts";
import { stampAfter } from "../../src/wireguard/timestamp.ts";
import { DatagramRing, openDatagramSocket } from "./datagram-calls.ts";

export interface Cast {
  /** The responder's, in base64, and where it is. */
  readonly publicKey: string;
  readonly endpoint: string;
  readonly initiators: number;
}

export interface Scene {
  /** The initiators that take part: from the first to before the last. */
  readonly first: number;
  readonly last: number;
  /** How many initiations, in turn. */
  readonly initiations: number;
  /** The scene ends with the last initiation, or then. */
  readonly milliseconds: number;
  /**
   * Whether each handshake is brought to its end, by a keepalive under the new keys, which costs the initiator as much
   * as the responder. Otherwise responses are only counted, and the last few looked into when the scene is over.
   */
  readonly completes: boolean;
}

export interface Outcome {
  /** Responses to initiations of the scene. */
  readonly answered: number;
  /** From the first initiation to the last response. */
  readonly seconds: number;
  readonly cookies: number;
  /** Initiations that nothing answered. */
  readonly lost: number;
}

interface Initiator {
  readonly identity: Identity;
  readonly responder: Correspondent;
  stamp: Uint8Array | undefined;
}

interface Prepared {
  readonly message: Uint8Array;
  readonly initiated: Initiated;
  readonly initiator: Initiator;
}

const inFlight = 32;
const patienceMs = 1000;
const lookedInto = 100;

const primitives = new ArenaPrimitives();
using sending = new DatagramRing(Initiation.size);
using keepalives = new DatagramRing(Data.size);
using receiving = new DatagramRing();
using arena = new Arena({ size: 65_536 });
const fd = openDatagramSocket();
const poller = new Poller(arena, 64, [fd]);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const cast = JSON.parse((await lines.next()).value ?? "") as Cast;
const responderKey = PublicKey.parse(cast.publicKey);
const name = sockaddrOf(Endpoint.parse(cast.endpoint));
must("connect", libc.connect(fd, name, name.length));
const jar = new CookieJar(primitives, responderKey);
const initiators = Array.from({ length: cast.initiators }, () => makeInitiator());
console.log(JSON.stringify(initiators.map(({ identity }) => identity.publicKey.hex)));
for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
  console.log(JSON.stringify(perform(JSON.parse(next.value) as Scene) satisfies Outcome));
}

function makeInitiator(): Initiator {
  const privateKey = new PrivateKey(randomBytes(32));
  const staticStatic = primitives.x25519(privateKey.bytes, responderKey.bytes);
  if (staticStatic === undefined) throw new Error("the responder's key has low order");
  return {
    identity: { privateKey, publicKey: new PublicKey(primitives.publicKey(privateKey.bytes)) },
    responder: { publicKey: responderKey, presharedKey: PresharedKey.none, staticStatic },
    stamp: undefined,
  };
}

/** The initiation's place in the scene is its sender index. */
function prepare(initiator: Initiator, localIndex: number): Prepared {
  initiator.stamp = stampAfter(initiator.stamp, Date.now());
  const secrets = { localIndex, ephemeral: Uint8Array.from(randomBytes(32)), timestamp: initiator.stamp };
  const created = createInitiation(primitives, initiator.identity, initiator.responder, secrets);
  if (created === undefined) throw new Error("the responder's key has low order");
  jar.addMacs(0, created.message);
  return { ...created, initiator };
}

function perform({ first, last, initiations, milliseconds, completes }: Scene): Outcome {
  const prepared: (Prepared | undefined)[] = [];
  for (let i = 0; i < initiations; i++) prepared.push(prepare(initiators[first + (i % (last - first))], i));
  const responses: [Prepared, Uint8Array][] = [];
  const begun = performance.now();
  let ended = begun;
  let sent = 0;
  let answered = 0;
  let cookies = 0;
  let lost = 0;
  let waiting = 0;
  while (ended - begun < milliseconds && (sent < initiations || waiting > 0)) {
    const count = Math.min(inFlight - waiting, initiations - sent);
    for (let i = 0; i < count; i++) put(sending, i, prepared[sent + i]?.message);
    for (let done = 0; done < count; ) done += sending.send(fd, count - done);
    sent += count;
    waiting += count;
    if (poller.wait(patienceMs) === 0) {
      lost += waiting;
      waiting = 0;
      continue;
    }
    const came = receiving.receive(fd);
    let finished = 0;
    for (let i = 0; i < came; i++) {
      const message = new Uint8Array(receiving.view.buffer, receiving.at(i), receiving.lengthOf(i));
      const type = message[0];
      if (type === CookieReply.type) cookies++;
      if (type !== Response.type || message.length !== Response.size) continue;
      const index = readUint32(message, Response.receiver);
      const handshake = prepared[index];
      if (handshake === undefined) continue;
      prepared[index] = undefined;
      answered++;
      waiting = Math.max(0, waiting - 1);
      if (completes) put(keepalives, finished++, keepalive(handshake, message));
      else if (responses.push([handshake, message.slice()]) > lookedInto) responses.shift();
    }
    if (finished > 0) keepalives.send(fd, finished);
    ended = performance.now();
  }
  for (const [handshake, message] of responses) keepalive(handshake, message);
  return { answered, seconds: (ended - begun) / 1000, cookies, lost };
}

function put(ring: DatagramRing, slot: number, message: Uint8Array | undefined): void {
  if (message !== undefined) new Uint8Array(ring.view.buffer).set(message, ring.at(slot));
}

/** The first message under the new keys (whitepaper §5.4.6). Throws for a response that is not authentic. */
function keepalive({ initiator, initiated }: Prepared, response: Uint8Array): Uint8Array {
  const keys = consumeResponse(primitives, initiator.identity, PresharedKey.none, initiated, Uint8Array.from(response));
  if (keys === undefined) throw new Error("the responder's answer is not authentic");
  const nothing = new Uint8Array(0);
  const message = new Uint8Array(Data.size);
  writeUint32(message, 0, Data.type);
  writeUint32(message, Data.receiver, keys.remoteIndex);
  message.set(primitives.seal(keys.sendKey, nonceOf(0), nothing, nothing), Data.payload);
  return message;
}
