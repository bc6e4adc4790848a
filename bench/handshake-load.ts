/**
 * A program for a host: many initiators that shake hands with one responder as fast as it answers. It is the same for
 * every responder. All initiations are made before the clock starts, and no more than `window` of them are without an
 * answer at a time: few enough for neither warren nor wireguard-go to take them for a flood (both ask for cookies when
 * 128 wait), and enough to keep two processors busy.
 *
 *     input    a line of JSON, a `HandshakeLoad`
 *     output   a line of JSON, the initiators' public keys, once all is made: give them to the responder as peers
 *     input    a line for each run: its seconds
 *     output   a line of JSON for each run, a `HandshakeReport`
 *
 * An answer is counted when it names an initiation that was sent and is the first to do so; a sample of the answers is
 * opened after the run as an initiator would. All initiations bear one ephemeral key, so that making them takes no
 * elliptic curve; the responder has no use for that.
 */
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { Endpoint } from "../src/base/address.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../src/base/keys.ts";
import { native } from "../src/crypto/native.ts";
import { Arena } from "../src/os/arena.ts";
import { libc } from "../src/os/libc.ts";
import { Poller, pollerSize } from "../src/os/poller.ts";
import { AF_INET, AF_INET6, sockaddrOf } from "../src/os/sockaddr.ts";
import { must } from "../src/os/system-error.ts";
import { CookieJar } from "../src/wireguard/cookies.ts";
import { consumeResponse, createInitiation, type Identity, type Initiated } from "../src/wireguard/handshake.ts";
import { Initiation, Response, readUint32 } from "../src/wireguard/messages.ts";
import { stampAfter } from "../src/wireguard/timestamp.ts";

export interface HandshakeLoad {
  /** Where the responder listens, and its public key in base64. */
  readonly endpoint: string;
  readonly responder: string;
  readonly initiators: number;
  /** How many to make, for all runs together. */
  readonly initiations: number;
  readonly window: number;
}

export interface HandshakeReport {
  readonly answered: number;
  /** From the first initiation to the last answer. */
  readonly seconds: number;
  readonly perSecond: number;
  /** Not answered within a fifth of a second. */
  readonly lost: number;
  /** Messages that were no answer: cookie replies, answers that came too late. */
  readonly strange: number;
  /** How many answers were opened, all of them successfully. */
  readonly opened: number;
  /** True where there were not enough initiations for so many seconds. */
  readonly ranOut: boolean;
}

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0x800 | 0x8_0000;
const lostAfterMs = 200;
const sampleEvery = 64;
const messageAt = 64;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const load = JSON.parse((await lines.next()).value ?? "") as HandshakeLoad;
const endpoint = Endpoint.parse(load.endpoint);
const responder = PublicKey.parse(load.responder);
const { identities, messages, samples } = makeInitiations();
console.log(JSON.stringify(identities.map(({ publicKey }) => publicKey.toString())));

const arena = new Arena({ size: 65_536 });
const bytes = new Uint8Array(arena.buffer);
const domain = endpoint.family === 4 ? AF_INET : AF_INET6;
const socket = must("socket", libc.socket(domain, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0));
const name = sockaddrOf(endpoint);
must("connect", libc.connect(socket, name, name.length));
const poller = new Poller(arena, messageAt + 4096, [socket]);
if (pollerSize(1) > 4096) throw new RangeError("no room for the poller");
let next = 0;
for await (const line of lines) console.log(JSON.stringify(run(Number(line))));

function run(seconds: number): HandshakeReport {
  const first = next;
  /** When each was sent; 0 once it is answered or given up. */
  const sentAt = new Float64Array(load.initiations);
  const answers = new Map<number, Uint8Array>();
  const count = { answered: 0, lost: 0, strange: 0, waiting: 0 };
  const begun = performance.now();
  const until = begun + 1000 * seconds;
  let oldest = first;
  let now = begun;
  let lastAnswerAt = begun;
  while (now < until || (count.waiting > 0 && now < until + lostAfterMs)) {
    while (now < until && count.waiting < load.window && next < load.initiations) {
      bytes.set(messages.subarray(next * Initiation.size, (next + 1) * Initiation.size), messageAt);
      if (libc.write(socket, arena.base + messageAt, Initiation.size) !== Initiation.size) break;
      sentAt[next++] = now;
      count.waiting++;
    }
    if (next === load.initiations && count.waiting === 0) break;
    poller.wait(10);
    now = performance.now();
    for (;;) {
      const length = libc.read(socket, arena.base + messageAt, 2048);
      if (length < 0) break;
      const index = readUint32(bytes, messageAt + Response.receiver);
      const isAnswer = length === Response.size && bytes[messageAt] === Response.type && index < next;
      if (!isAnswer || sentAt[index] === 0) {
        count.strange++;
        continue;
      }
      sentAt[index] = 0;
      count.waiting--;
      count.answered++;
      lastAnswerAt = now;
      if (samples.has(index)) answers.set(index, bytes.slice(messageAt, messageAt + length));
    }
    for (; oldest < next && (sentAt[oldest] === 0 || now - sentAt[oldest] > lostAfterMs); oldest++) {
      if (sentAt[oldest] === 0) continue;
      sentAt[oldest] = 0;
      count.waiting--;
      count.lost++;
    }
  }
  const took = (lastAnswerAt - begun) / 1000;
  const { answered, lost, strange } = count;
  for (const [index, answer] of answers) open(index, answer);
  const ranOut = next === load.initiations && now < until;
  return { answered, seconds: took, perSecond: answered / took, lost, strange, opened: answers.size, ranOut };
}

/** Throws where the answer is not the responder's. */
function open(index: number, answer: Uint8Array): void {
  const sample = samples.get(index);
  const identity = identities[index % load.initiators];
  if (sample && consumeResponse(native, identity, PresharedKey.none, sample, answer) !== undefined) return;
  throw new Error(`answer ${index} does not open`);
}

/** All initiations, one after the other; initiator i makes number i, i + `initiators`, and so on. */
function makeInitiations() {
  const ephemeral = randomBytes(32);
  const point = native.publicKey(ephemeral);
  const shared = native.x25519(ephemeral, responder.bytes);
  const primitives = { ...native, x25519: () => shared && Uint8Array.from(shared), publicKey: () => point };
  const jar = new CookieJar(native, responder);
  const identities: Identity[] = [];
  const secrets: Uint8Array[] = [];
  for (let i = 0; i < load.initiators; i++) {
    const privateKey = new PrivateKey(randomBytes(32));
    identities.push({ privateKey, publicKey: new PublicKey(native.publicKey(privateKey.bytes)) });
    secrets.push(native.x25519(privateKey.bytes, responder.bytes) ?? new Uint8Array(32));
  }
  const messages = new Uint8Array(load.initiations * Initiation.size);
  const samples = new Map<number, Initiated>();
  let timestamp = stampAfter(undefined, Date.now());
  for (let i = 0; i < load.initiations; i++) {
    const initiator = i % load.initiators;
    if (initiator === 0) timestamp = stampAfter(timestamp, 0);
    const peer = { publicKey: responder, presharedKey: PresharedKey.none, staticStatic: secrets[initiator] };
    const input = { localIndex: i, ephemeral: Uint8Array.from(ephemeral), timestamp };
    const created = createInitiation(primitives, identities[initiator], peer, input);
    if (created === undefined) throw new Error("the responder's key has low order");
    jar.addMacs(0, created.message);
    messages.set(created.message, i * Initiation.size);
    if (i % sampleEvery === 0) samples.set(i, created.initiated);
  }
  return { identities, messages, samples };
}
