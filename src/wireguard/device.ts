/**
 * All peers under one private key: the part of WireGuard that is rare. A device takes handshake messages and cookies
 * (types 1 to 3), packets for which there is no session, and the passing of time; data messages (type 4) are sealed and
 * opened by a data path, in worker threads or in `data-path.ts`, which reports here what concerns the protocol. It does
 * no I/O: after any call, take what is to be done with `drain`, and ask `nextDeadline` when to call `expire`.
 */
import type { Endpoint } from "../base/address.ts";
import { type DropReason, VpnError } from "../base/errors.ts";
import { PrivateKey, PublicKey } from "../base/keys.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { idleActivity } from "./activity.ts";
import { HandshakesPerTurn, type Milliseconds, UnderLoadAfterTime, UrgentHandshakeInterval } from "./constants.ts";
import { CookieChecker, type Random } from "./cookies.ts";
import { createResponse, type Identity, openInitiation, type Respond } from "./handshake.ts";
import { HandshakeLimiter } from "./handshake-limiter.ts";
import { CookieReply, Initiation, messageType, Response, readUint32 } from "./messages.ts";
import { type Output, Peer, type PeerContext } from "./peer.ts";
import type { PeerOptions } from "./peer-options.ts";

export interface DeviceOptions {
  readonly primitives: Primitives;
  readonly random: Random;
  /** Milliseconds since 1970, UTC. It may be set back; then stamps rise all the same. */
  readonly wallClock: () => Milliseconds;
  /** Makes responses, perhaps elsewhere and later; at once, unless given. */
  readonly respond?: Respond;
  /** 65,536 unless given. */
  readonly maximumPeers?: number;
}

/** Our identity and what is derived from it. */
interface Self extends Identity {
  readonly cookies: CookieChecker;
}

export class Device {
  readonly #primitives: Primitives;
  readonly #random: Random;
  readonly #maximumPeers: number;
  readonly #context: PeerContext;
  readonly #peers = new Map<string, Peer>();
  readonly #peersById = new Map<number, Peer>();
  readonly #indices = new Map<number, Peer>();
  /** Those that may have a deadline; only they are looked at as time passes. */
  readonly #awaiting = new Set<Peer>();
  readonly #limiter = new HandshakeLimiter();
  #self: Self | undefined;
  #outputs: Output[] = [];
  #now: Milliseconds = 0;
  #loadedUntil: Milliseconds = Number.NEGATIVE_INFINITY;
  #isRunning = true;
  /** How many handshakes may begin until `expire` is called again. */
  #turns = HandshakesPerTurn;

  constructor({ primitives, random, wallClock, respond, maximumPeers = 65_536 }: DeviceOptions) {
    this.#primitives = primitives;
    this.#random = random;
    this.#maximumPeers = maximumPeers;
    const identity = () => this.#self;
    const isRunning = () => this.#isRunning;
    this.#context = {
      primitives,
      random,
      wallClock,
      respond: respond ?? ((peer, opened, input, done) => done(createResponse(primitives, peer, opened, input))),
      get identity() {
        return identity();
      },
      get isRunning() {
        return isRunning();
      },
      emit: (output) => this.#outputs.push(output),
      claimIndex: (peer) => this.#claimIndex(peer),
      releaseIndex: (index) => this.#indices.delete(index),
      reconsider: (peer) => this.#awaiting.add(peer),
      admit: (peer) => this.#admit(peer),
    };
  }

  get publicKey(): PublicKey | undefined {
    return this.#self?.publicKey;
  }

  /** Our secret itself, not a copy. */
  get privateKey(): PrivateKey | undefined {
    return this.#self?.privateKey;
  }

  get peers(): Iterable<Peer> {
    return this.#peers.values();
  }

  peer(publicKey: PublicKey): Peer | undefined {
    return this.#peers.get(publicKey.packed);
  }

  peerById(id: number): Peer | undefined {
    return this.#peersById.get(id);
  }

  /**
   * Changes who we are: all sessions end, and a peer that has the new key is removed. Whoever waited for a session, or is
   * to be kept alive, gets a handshake at once. Keeps a copy of the key.
   */
  setPrivateKey(now: Milliseconds, key: PrivateKey | undefined): void {
    this.#now = now;
    if (key === undefined ? this.#self === undefined : this.#self?.privateKey.equals(key)) return;
    for (const peer of this.#peers.values()) peer.reset();
    this.#self?.cookies[Symbol.dispose]();
    this.#self?.privateKey[Symbol.dispose]();
    this.#self = undefined;
    if (key === undefined) return;
    const publicKey = new PublicKey(this.#primitives.publicKey(key.bytes));
    const cookies = new CookieChecker(this.#primitives, this.#random, publicKey);
    this.#self = { privateKey: new PrivateKey(key.bytes), publicKey, cookies };
    const self = this.peer(publicKey);
    if (self !== undefined) this.removePeer(now, self);
    for (const peer of this.#peers.values()) peer.start(now);
  }

  /**
   * The interface goes down: sessions and handshakes end, staged packets are dropped, and nothing is sent until `start`
   * (drivers/net/wireguard/device.c, wg_stop). A device is running at first.
   */
  stop(now: Milliseconds): void {
    this.#now = now;
    if (!this.#isRunning) return;
    this.#isRunning = false;
    for (const peer of this.#peers.values()) peer.stop();
  }

  /** The interface comes up: peers with a persistent keepalive are sent one (wg_open). */
  start(now: Milliseconds): void {
    this.#now = now;
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (const peer of this.#peers.values()) peer.start(now);
  }

  /**
   * Throws `invalid-configuration` for our own key, `invalid-argument` for a key or id that a peer has already,
   * `not-available` when full.
   */
  addPeer(now: Milliseconds, options: PeerOptions): Peer {
    this.#now = now;
    if (!Number.isInteger(options.id) || options.id < 0 || this.#peersById.has(options.id)) {
      throw new VpnError("invalid-argument", `${options.id} is not a free peer id`);
    }
    this.checkNewPeer(options.publicKey);
    if (this.#peers.size >= this.#maximumPeers) {
      throw new VpnError("not-available", `there are ${this.#peers.size} peers already, and no room for more`);
    }
    const peer = new Peer(this.#context, options.activity ?? idleActivity(), options);
    this.#peers.set(peer.publicKey.packed, peer);
    this.#peersById.set(peer.id, peer);
    return peer;
  }

  /** Throws `invalid-configuration` where this is our own key, `invalid-argument` where there is such a peer. */
  checkNewPeer(publicKey: PublicKey): void {
    if (this.publicKey?.equals(publicKey)) {
      throw new VpnError("invalid-configuration", `peer ${publicKey} has this interface's own key`, {
        remedy: "give it the public key of the other side",
      });
    }
    if (this.peer(publicKey) !== undefined) {
      throw new VpnError("invalid-argument", `peer ${publicKey} exists already`);
    }
  }

  removePeer(now: Milliseconds, peer: Peer): void {
    this.#now = now;
    if (this.#peersById.get(peer.id) !== peer) return;
    peer[Symbol.dispose]();
    this.#peers.delete(peer.publicKey.packed);
    this.#peersById.delete(peer.id);
    this.#awaiting.delete(peer);
  }

  /** Takes an initiation, response or cookie reply; says why it was dropped, if it was. */
  receive(now: Milliseconds, message: Uint8Array, source: Endpoint): DropReason | undefined {
    this.#now = now;
    if (!this.#isRunning) return "interface-down";
    const type = messageType(message);
    switch (type) {
      case Initiation.type:
      case Response.type:
        return this.#receiveHandshake(now, type, message, source);
      case CookieReply.type:
        return this.#receiveCookie(now, message);
      default:
        return typeof type === "string" ? type : "message-unknown-type";
    }
  }

  /**
   * Takes a packet that the data path could not seal for want of a session, and sees to a handshake. The packet is kept,
   * not copied. Where 128 wait already, the oldest is dropped and `staging-full` says so.
   */
  send(now: Milliseconds, peer: Peer, packet: Uint8Array): DropReason | undefined {
    this.#now = now;
    return peer.send(now, packet);
  }

  /** A message of the keypair with this index was authenticated. Only the first on a new keypair makes a difference. */
  confirm(now: Milliseconds, localIndex: number): void {
    this.#now = now;
    this.#indices.get(localIndex)?.confirm(now, localIndex);
  }

  /** The keypair to send with is old by time or count, or missing: starts a handshake unless one is under way. */
  freshen(now: Milliseconds, peer: Peer): void {
    this.#now = now;
    peer.freshen(now);
  }

  /**
   * Starts a handshake although one may be under way: the network has changed, and what was sent may never arrive. False,
   * and nothing is done, where the last handshake message is younger than a second: it may have come the new way, and
   * two that come together are taken for a flood.
   */
  shakeHands(now: Milliseconds, peer: Peer): boolean {
    this.#now = now;
    return peer.shakeHands(now, UrgentHandshakeInterval);
  }

  /**
   * Asks a peer at an endpoint that is not its present one whether it hears us there; `path-answered` says if so. The
   * session is not touched. To be asked at most once a second and way: who is asked works for it.
   */
  probe(now: Milliseconds, peer: Peer, endpoint: Endpoint): void {
    this.#now = now;
    if (this.#isRunning) peer.probe(now, endpoint);
  }

  /** An authenticated data message came from there. */
  roam(now: Milliseconds, peer: Peer, endpoint: Endpoint): void {
    this.#now = now;
    peer.roam(endpoint);
  }

  /** See `Peer.setEndpoint`. */
  setEndpoint(now: Milliseconds, peer: Peer, endpoint: Endpoint): void {
    this.#now = now;
    peer.setEndpoint(now, endpoint);
  }

  /** Answers may leave from any of our addresses, for one peer or for all: the way to them has changed. */
  forgetLocalAddress(now: Milliseconds, peer?: Peer): void {
    this.#now = now;
    for (const one of peer === undefined ? this.#peers.values() : [peer]) one.forgetLocalAddress();
  }

  /** See `Peer.setPersistentKeepalive`. */
  setPersistentKeepalive(now: Milliseconds, peer: Peer, interval: Milliseconds | undefined): void {
    this.#now = now;
    peer.setPersistentKeepalive(now, interval);
  }

  /** Handshakes come faster than they can be dealt with: for a second from now, ask for cookies and limit each source. */
  noteLoad(now: Milliseconds): void {
    this.#loadedUntil = now + UnderLoadAfterTime;
  }

  /**
   * Acts on every timer that is due. Early or repeated calls are harmless. Of handshakes that nobody waits for, only
   * `HandshakesPerTurn` begin at each call; the others remain due.
   */
  expire(now: Milliseconds): void {
    this.#now = now;
    this.#turns = HandshakesPerTurn;
    for (const peer of this.#awaiting) peer.expire(now);
  }

  /** When to call `expire`, in ms of CLOCK_BOOTTIME; ask again after any other call. */
  nextDeadline(): Milliseconds | undefined {
    let earliest = Number.POSITIVE_INFINITY;
    for (const peer of this.#awaiting) {
      const deadline = peer.nextDeadline(this.#now);
      if (deadline === Number.POSITIVE_INFINITY) this.#awaiting.delete(peer);
      else if (deadline < earliest) earliest = deadline;
    }
    return earliest === Number.POSITIVE_INFINITY ? undefined : earliest;
  }

  /** What is to be done, in order; each is handed out once. */
  drain(): Output[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  #receiveHandshake(
    now: Milliseconds,
    type: typeof Initiation.type | typeof Response.type,
    message: Uint8Array,
    source: Endpoint,
  ): DropReason | undefined {
    if (this.#self === undefined || !this.#self.cookies.checkMac1(message)) return "mac1-invalid";
    if (now < this.#loadedUntil) {
      if (!this.#self.cookies.checkMac2(now, message, source)) {
        const sender = readUint32(message, Initiation.sender); // at the same place in a response
        const reply = this.#self.cookies.reply(now, message, sender, source);
        this.#outputs.push({ kind: "transmit", message: reply, endpoint: source, peer: undefined });
        return "mac2-required";
      }
      if (!this.#limiter.allow(now, source.address)) return "rate-limited";
    }
    if (type === Initiation.type) return this.#receiveInitiation(now, this.#self, message, source);
    const receiver = readUint32(message, Response.receiver);
    const peer = this.#indices.get(receiver);
    if (peer === undefined) return "index-unknown";
    if (peer.probes?.owns(message) !== true) return peer.complete(now, message, source);
    const answer = peer.probes.take(now, message);
    if (typeof answer === "string") return answer;
    this.#outputs.push({ kind: "path-answered", peer, ...answer });
    return undefined;
  }

  #receiveInitiation(now: Milliseconds, self: Self, message: Uint8Array, source: Endpoint): DropReason | undefined {
    const opened = openInitiation(this.#primitives, self, message);
    if (opened === undefined) return "handshake-undecryptable";
    using _state = opened.state;
    const peer = this.peer(opened.publicKey);
    return peer === undefined ? "handshake-unknown-peer" : peer.answer(now, opened, source);
  }

  #receiveCookie(now: Milliseconds, message: Uint8Array): DropReason | undefined {
    const peer = this.#indices.get(readUint32(message, CookieReply.receiver));
    return peer === undefined ? "index-unknown" : peer.takeCookie(now, message);
  }

  /** Whoever has had a turn has the next one after all others. */
  #admit(peer: Peer): boolean {
    if (this.#turns === 0) return false;
    this.#turns--;
    this.#awaiting.delete(peer);
    this.#awaiting.add(peer);
    return true;
  }

  #claimIndex(peer: Peer): number {
    for (;;) {
      const index = readUint32(this.#random(4), 0);
      if (this.#indices.has(index)) continue;
      this.#indices.set(index, peer);
      return index;
    }
  }
}
