/**
 * One peer: its sessions, the packets that wait for one, and the five timers, around the handshakes of `exchange.ts`.
 * Messages and calls come from `Device`, which knows whom they concern; what is to be done about them goes back as
 * outputs. No I/O.
 */
import type { Endpoint } from "../base/address.ts";
import type { DropReason } from "../base/errors.ts";
import { PresharedKey, type PublicKey } from "../base/keys.ts";
import { type Activity, noteReceived, noteSent } from "./activity.ts";
import { KeepaliveTimeout, MaxTimerHandshakes, type Milliseconds, RekeyTimeout } from "./constants.ts";
import { type EndpointHold, keptEndpoint } from "./endpoint-hold.ts";
import { type Agreement, type Answer, Exchange } from "./exchange.ts";
import type { OpenedInitiation } from "./handshake.ts";
import { Keypair, Keyring } from "./keypair.ts";
import type { OutputOf } from "./output.ts";
import { PathProbes } from "./path-probes.ts";
import type { PeerContextOf } from "./peer-context.ts";
import type { PeerOptions } from "./peer-options.ts";
import { StagedPackets } from "./staged-packets.ts";
import { notBegun, rekeyJitter, type Timer, Timers, timers } from "./timers.ts";

export type Output = OutputOf<Peer>;
export type PeerContext = PeerContextOf<Peer>;

const keepalive = new Uint8Array(0);

export class Peer {
  readonly id: number;
  readonly publicKey: PublicKey;
  readonly activity: Activity;
  /** When the last handshake was completed, in ms of the wall clock. */
  lastHandshakeAt: Milliseconds | undefined;
  /** To be changed by `setPersistentKeepalive`. */
  persistentKeepaliveMs: Milliseconds | undefined;
  readonly #context: PeerContext;
  /** Who may move the endpoint. */
  hold: EndpointHold = "none";
  readonly #timers: Timers;
  /** Made with the first handshake: of ten thousand peers most may never come. */
  #exchange: Exchange<Peer> | undefined;
  #presharedKey: PresharedKey = PresharedKey.none;
  readonly keyring: Keyring = new Keyring();
  probes: PathProbes | undefined;
  readonly #activityIsShared: boolean;
  #endpoint: Endpoint | undefined;
  readonly #staged = new StagedPackets();
  #handshakeSentAt: Milliseconds = Number.NEGATIVE_INFINITY;

  constructor(context: PeerContext, activity: Activity, options: PeerOptions) {
    this.#context = context;
    this.id = options.id;
    this.publicKey = options.publicKey;
    this.activity = activity;
    this.#activityIsShared = options.activity !== undefined;
    this.#timers = new Timers(activity);
    if (options.presharedKey !== undefined) this.setPresharedKey(options.presharedKey);
    this.#endpoint = options.endpoint;
    this.persistentKeepaliveMs = options.persistentKeepaliveMs;
    this.#armPersistentKeepalive();
  }

  get endpoint(): Endpoint | undefined {
    return this.#endpoint;
  }

  get presharedKey(): PresharedKey {
    return this.#presharedKey;
  }

  /** How many initiations went out since a handshake was last completed, or the interface came up. */
  get unansweredInitiations(): number {
    return this.#timers.unanswered;
  }

  get current(): Keypair | undefined {
    return this.keyring.current;
  }

  /** How many packets wait for a session. */
  get staged(): number {
    return this.#staged.count;
  }

  /** Whether an initiation waits for its response. */
  get isShakingHands(): boolean {
    return this.#timers.retry !== undefined;
  }

  /** Keeps a copy, which binds from the next handshake on. */
  setPresharedKey(key: PresharedKey): void {
    if (this.#presharedKey !== PresharedKey.none) this.#presharedKey[Symbol.dispose]();
    this.#presharedKey = key.isNone ? PresharedKey.none : new PresharedKey(key.bytes);
  }

  /** Configures where to reach the peer. A handshake that was under way towards the old place starts anew at once. */
  setEndpoint(now: Milliseconds, endpoint: Endpoint): void {
    const isElsewhere = this.#endpoint?.equals(endpoint) !== true;
    this.#move(endpoint);
    if (!isElsewhere) return;
    this.#handshakeSentAt = Number.NEGATIVE_INFINITY;
    if (this.#timers.retry !== undefined || this.#staged.count > 0) this.#initiateInTurn(now);
  }

  /** Undefined turns it off. Turned on, the first goes out at once (drivers/net/wireguard/netlink.c, set_peer). */
  setPersistentKeepalive(now: Milliseconds, interval: Milliseconds | undefined): void {
    const turnedOn = this.persistentKeepaliveMs === undefined && interval !== undefined;
    this.persistentKeepaliveMs = interval;
    this.#armPersistentKeepalive();
    if (turnedOn) this.#keepalive(now);
  }

  /** See `Device.send`. */
  send(now: Milliseconds, packet: Uint8Array): DropReason | undefined {
    if (this.current?.canSend(now)) {
      this.#context.emit({ kind: "seal", peer: this, packet });
      return undefined;
    }
    if (this.#endpoint === undefined) return "peer-no-endpoint";
    const fits = this.#staged.push(packet);
    this.freshen(now);
    return fits ? undefined : "staging-full";
  }

  /** See `Device.confirm`. */
  confirm(now: Milliseconds, localIndex: number): void {
    if (this.keyring.next?.localIndex !== localIndex) return;
    const removed = this.keyring.confirm();
    this.#select();
    this.#remove(removed);
    this.#completed();
    this.#releaseStaged(now);
  }

  /** See `Device.freshen`. */
  freshen(now: Milliseconds): void {
    const { retry } = this.#timers;
    if (retry === undefined || retry.attempts === notBegun) this.#initiate(now, 0);
    else this.#timers.retry = { dueAt: retry.dueAt, attempts: 0 };
    this.#context.reconsider(this);
  }

  /** See `Device.shakeHands`. */
  shakeHands(now: Milliseconds, interval: Milliseconds): boolean {
    if (now < this.#handshakeSentAt + interval) return false;
    this.#handshakeSentAt = Number.NEGATIVE_INFINITY;
    this.#initiateInTurn(now);
    return true;
  }

  /** See `Device.probe`. */
  probe(now: Milliseconds, endpoint: Endpoint): void {
    this.probes ??= new PathProbes(this.#handshakes());
    const message = this.probes.begin(now, endpoint);
    if (message !== undefined) this.#context.emit({ kind: "transmit", message, endpoint, peer: this });
  }

  /** See `Device.roam`. */
  roam(endpoint: Endpoint): void {
    const kept = keptEndpoint(this.hold, this.#endpoint, endpoint);
    if (kept === undefined) this.#move(endpoint);
    else this.#context.emit({ kind: "endpoint-changed", peer: this, endpoint: kept }); // a worker may have moved it
  }

  #move(endpoint: Endpoint): void {
    if (this.#endpoint?.equals(endpoint) && this.#endpoint.isReachedLike(endpoint)) return;
    this.#endpoint = endpoint;
    this.#armPersistentKeepalive();
    this.#context.emit({ kind: "endpoint-changed", peer: this, endpoint });
  }

  /** Lets the kernel choose which of our addresses to send from, until the peer speaks to one of them again. */
  forgetLocalAddress(): void {
    if (this.#endpoint !== undefined) this.#move(this.#endpoint.withoutLocal);
  }

  /** An initiation that claims to be from this peer. */
  answer(now: Milliseconds, opened: OpenedInitiation, source: Endpoint): DropReason | undefined {
    return this.#handshakes().answer(now, opened, (answer) => this.#answered(now, answer, source));
  }

  #answered(now: Milliseconds, answer: Answer, source: Endpoint): void {
    const keypair = this.#derive(now, answer, source, false);
    this.#remove(this.keyring.addAnswered(keypair));
    this.#transmit(now, answer.message, source);
    this.#context.reconsider(this);
  }

  /** A response that names an index of this peer. */
  complete(now: Milliseconds, message: Uint8Array, source: Endpoint): DropReason | undefined {
    const agreement = this.#handshakes().complete(message);
    if (typeof agreement === "string") return agreement;
    const keypair = this.#derive(now, agreement, source, true);
    const removed = this.keyring.addInitiated(keypair);
    this.#select();
    this.#remove(removed);
    this.#completed();
    // The responder may not send before it has heard from us.
    if (this.#staged.count === 0) this.#keepalive(now);
    else this.#releaseStaged(now);
    return undefined;
  }

  /** A cookie reply that names an index of this peer. Moves no endpoint: it is not authenticated by the peer's key. */
  takeCookie(now: Milliseconds, message: Uint8Array): DropReason | undefined {
    return this.#handshakes().takeCookie(now, message);
  }

  /** When to call `expire`, infinity if nothing is awaited. */
  nextDeadline(now: Milliseconds): Milliseconds {
    // A stamp that another thread sets after `now` makes no deadline nearer than this.
    const unseen = this.#activityIsShared && this.keyring.isLive(now) ? now + KeepaliveTimeout : undefined;
    return Math.min(this.#timers.next(), unseen ?? Number.POSITIVE_INFINITY);
  }

  /** Acts on every timer that is due. */
  expire(now: Milliseconds): void {
    for (const timer of timers) {
      if (this.#timers.deadline(timer) <= now) this.#fire(timer, now);
    }
  }

  /** The interface came up, or we have become somebody: what waited for that, and keepalives, begin. */
  start(now: Milliseconds): void {
    this.#armPersistentKeepalive();
    if (this.#timers.persistentKeepaliveMs !== undefined) this.#keepalive(now);
    else if (this.#staged.count > 0) this.freshen(now);
  }

  /** The interface went down: all ends that `start` does not bring back. */
  stop(): void {
    this.reset();
    this.#staged.take();
    this.#armPersistentKeepalive();
  }

  /** Erases keys and forgets handshakes, as when our own key changes. What is staged goes on waiting for a session. */
  reset(): void {
    this.#eraseKeys();
    this.#exchange?.reset();
    this.probes?.reset();
    this.#handshakeSentAt = Number.NEGATIVE_INFINITY;
    this.#timers.reset();
    this.activity.unansweredSince = 0;
    this.activity.unacknowledgedSince = 0;
  }

  /** For `removePeer`: the peer is not used again. */
  [Symbol.dispose](): void {
    this.reset();
    this.#staged.take();
    this.setPresharedKey(PresharedKey.none);
  }

  /** The whole timed behaviour of the protocol. A stamp that fired a timer is cleared: only what moves later counts. */
  #fire(timer: Timer, now: Milliseconds): void {
    switch (timer) {
      case "retry":
        this.#retry(now);
        break;
      case "silence":
        this.activity.unansweredSince = 0;
        this.#timers.silenceJitter = rekeyJitter(this.#context.random);
        this.forgetLocalAddress(); // in case it is to blame, as the kernel does (timers.c, wg_expired_new_handshake)
        this.#freshenInTurn(now);
        break;
      case "passive-keepalive":
        this.activity.unacknowledgedSince = 0;
        this.#keepalive(now);
        break;
      case "persistent-keepalive":
        this.#timers.persistentRequestedAt = now;
        this.#keepalive(now);
        break;
      case "erasure":
        this.#timers.erasureAt = undefined;
        this.#eraseKeys();
    }
  }

  #retry(now: Milliseconds): void {
    const attempts = this.#timers.retry?.attempts ?? 0;
    if (attempts <= MaxTimerHandshakes && !this.#context.admit(this)) return; // it remains due
    this.#timers.retry = undefined;
    if (attempts <= MaxTimerHandshakes) {
      if (attempts !== notBegun) this.forgetLocalAddress();
      this.#initiate(now, attempts + 1);
      return;
    }
    const discarded = this.#staged.take().length;
    this.activity.unacknowledgedSince = 0;
    if (this.#timers.erasureAt === undefined) this.#timers.scheduleErasure(now);
    this.#context.emit({ kind: "handshake-failed", peer: this, discarded });
  }

  /** As `freshen`, where no packet waits for it. */
  #freshenInTurn(now: Milliseconds): void {
    const { retry } = this.#timers;
    if (retry === undefined) this.#initiateInTurn(now);
    else if (retry.attempts !== notBegun) this.freshen(now);
  }

  /** Sends an initiation now, or, where many ask at once, when its turn has come. */
  #initiateInTurn(now: Milliseconds): void {
    const { identity, isRunning } = this.#context;
    if (!isRunning || identity === undefined || this.#endpoint === undefined) return;
    this.#context.reconsider(this);
    if (this.#context.admit(this)) this.#initiate(now, 0);
    else this.#timers.retry = { dueAt: now, attempts: notBegun };
  }

  /** Sends an initiation, or, where the last handshake message went out less than `RekeyTimeout` ago, sees to it later. */
  #initiate(now: Milliseconds, attempts: number): void {
    const { identity, isRunning } = this.#context;
    if (!isRunning || identity === undefined || this.#endpoint === undefined) return;
    this.#context.reconsider(this);
    const allowedAt = this.#handshakeSentAt + RekeyTimeout;
    if (now < allowedAt) {
      // What asked for a handshake may have been on its way since before the last one. If so, all is well.
      if (this.current?.canSend(now)) return;
      this.#timers.retry = { dueAt: allowedAt + rekeyJitter(this.#context.random), attempts };
      return;
    }
    const message = this.#handshakes().initiate(now);
    if (message === undefined) return;
    this.#timers.retry = { dueAt: now + RekeyTimeout + rekeyJitter(this.#context.random), attempts };
    this.#timers.unanswered++;
    this.#transmit(now, message, this.#endpoint);
  }

  #transmit(now: Milliseconds, message: Uint8Array, endpoint: Endpoint): void {
    this.#handshakeSentAt = now;
    noteSent(this.activity, now, false);
    this.#context.emit({ kind: "transmit", message, endpoint, peer: this });
  }

  #handshakes(): Exchange<Peer> {
    this.#exchange ??= new Exchange(this.#context, this);
    return this.#exchange;
  }

  #derive(now: Milliseconds, agreement: Agreement, source: Endpoint, isInitiator: boolean): Keypair {
    noteReceived(this.activity, now, false);
    this.roam(source);
    const keypair = new Keypair({ ...agreement, isInitiator, createdAt: now });
    this.#timers.scheduleErasure(now);
    this.#timers.silenceJitter = rekeyJitter(this.#context.random);
    this.#context.emit({ kind: "keypair-added", peer: this, keypair });
    return keypair;
  }

  #completed(): void {
    this.#timers.retry = undefined;
    this.lastHandshakeAt = this.#context.wallClock();
    this.#timers.unanswered = 0;
    this.#context.emit({ kind: "handshake-completed", peer: this });
    this.#context.reconsider(this);
  }

  #select(): void {
    this.#context.emit({ kind: "keypair-selected", peer: this, keypair: this.current });
  }

  #remove(keypairs: readonly Keypair[]): void {
    for (const keypair of keypairs) {
      this.#context.releaseIndex(keypair.localIndex);
      this.#context.emit({ kind: "keypair-removed", peer: this, keypair });
    }
  }

  #releaseStaged(now: Milliseconds): void {
    for (const packet of this.#staged.take()) this.send(now, packet);
  }

  #keepalive(now: Milliseconds): void {
    if (this.current?.canSend(now)) this.#context.emit({ kind: "seal", peer: this, packet: keepalive });
    else this.#freshenInTurn(now);
  }

  #eraseKeys(): void {
    this.#exchange?.abandon();
    const hadCurrent = this.current !== undefined;
    const removed = this.keyring.clear();
    if (hadCurrent) this.#select();
    this.#remove(removed);
  }

  /** There is no sense in keeping a way open that is not known, or that nobody can take. */
  #armPersistentKeepalive(): void {
    const isUsable = this.#endpoint !== undefined && this.#context.isRunning;
    this.#timers.persistentKeepaliveMs = isUsable ? this.persistentKeepaliveMs : undefined;
    this.#context.reconsider(this);
  }
}
