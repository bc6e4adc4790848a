/**
 * A WireGuard peer of the lab's own, as small as one can be: the handshake's functions from `wireguard/`, and data
 * messages sealed one by one (whitepaper §5.4). It keeps no timers and every session it ever had, because what it is
 * for is to show what a real peer does with old and repeated messages. Pure: random bytes and stamps are arguments.
 */
import { concatBytes } from "../base/bytes.ts";
import type { PresharedKey, PublicKey } from "../base/keys.ts";
import { nonceOf, type Primitives } from "../crypto/primitives.ts";
import { PaddingMultiple } from "../wireguard/constants.ts";
import { CookieJar } from "../wireguard/cookies.ts";
import {
  consumeResponse,
  createInitiation,
  type Identity,
  type Initiated,
  type SessionKeys,
} from "../wireguard/handshake.ts";
import { Data, readCounter, readUint32, writeCounter, writeUint32 } from "../wireguard/messages.ts";

const nothing = new Uint8Array(0);

export interface OwnPeerOptions {
  readonly primitives: Primitives;
  readonly identity: Identity;
  readonly peer: PublicKey;
  readonly presharedKey: PresharedKey;
}

export interface OwnSession extends SessionKeys {
  readonly localIndex: number;
  /** Of the next data message. */
  counter: number;
}

export class OwnPeer {
  readonly sessions: OwnSession[] = [];
  readonly #options: OwnPeerOptions;
  readonly #macs: CookieJar;
  #initiated: Initiated | undefined;

  constructor(options: OwnPeerOptions) {
    this.#options = options;
    this.#macs = new CookieJar(options.primitives, options.peer);
  }

  /** An initiation to send. `undefined` where the peer's key is no proper one. */
  initiate(input: { localIndex: number; ephemeral: Uint8Array; timestamp: Uint8Array }): Uint8Array | undefined {
    const { primitives, identity, peer: publicKey, presharedKey } = this.#options;
    const staticStatic = primitives.x25519(identity.privateKey.bytes, publicKey.bytes);
    if (staticStatic === undefined) return undefined;
    const made = createInitiation(primitives, identity, { publicKey, presharedKey, staticStatic }, input);
    if (made === undefined) return undefined;
    this.#macs.addMacs(0, made.message);
    this.#initiated = made.initiated;
    return made.message;
  }

  /** Takes a response to the last initiation; the session it makes, or `undefined` where it is none. */
  complete(response: Uint8Array): OwnSession | undefined {
    const { primitives, identity, presharedKey } = this.#options;
    if (this.#initiated === undefined) return undefined;
    const keys = consumeResponse(primitives, identity, presharedKey, this.#initiated, response);
    if (keys === undefined) return undefined;
    const session = { ...keys, localIndex: this.#initiated.localIndex, counter: 0 };
    this.#initiated[Symbol.dispose]();
    this.#initiated = undefined;
    this.sessions.push(session);
    return session;
  }

  /** The data message for a packet, under the session's next counter. */
  seal(session: OwnSession, packet: Uint8Array): Uint8Array {
    const padded = new Uint8Array(Math.ceil(packet.length / PaddingMultiple) * PaddingMultiple);
    padded.set(packet);
    const header = new Uint8Array(Data.payload);
    const counter = session.counter++;
    writeUint32(header, 0, Data.type);
    writeUint32(header, Data.receiver, session.remoteIndex);
    writeCounter(header, Data.counter, counter);
    return concatBytes(header, this.#options.primitives.seal(session.sendKey, nonceOf(counter), padded, nothing));
  }

  /** The padded packet in a data message for one of our sessions. */
  open(message: Uint8Array): Uint8Array | undefined {
    const receiver = readUint32(message, Data.receiver);
    const session = this.sessions.find(({ localIndex }) => localIndex === receiver);
    if (session === undefined) return undefined;
    const nonce = nonceOf(readCounter(message, Data.counter));
    return this.#options.primitives.open(session.receiveKey, nonce, message.subarray(Data.payload), nothing);
  }
}
