/**
 * When a tunnel needs more than the protocol's own timers, as a pure state machine: what is seen of the peers and of the
 * network comes in, with the time; what is to be done comes out.
 *
 * Two things are watched. *Silence*: we have sent, and nothing authenticated comes back; then the host behind a name may
 * have moved, and the name is looked up again, soon and ever more rarely. *The way*: by which interface, gateway and
 * source address a peer's endpoint is reached; when that changes, or the machine wakes, the peer is shaken hands with
 * at once, since it cannot find us where we were.
 */
import { Endpoint, type IpAddress } from "../base/address.ts";

/** Milliseconds of CLOCK_BOOTTIME. */
type Milliseconds = number;

/**
 * A handshake that has gone unanswered for its own timeout, with the next about to follow. For data it is longer than
 * the ten seconds within which a peer that hears us answers, if only by a keepalive (whitepaper §6.5).
 */
const handshakePatience: Milliseconds = 5000;
const dataPatience: Milliseconds = 11_000;
/** From one look-up to the next while the silence lasts; the last one repeats. */
const lookUpIntervals: readonly Milliseconds[] = [10_000, 10_000, 10_000, 20_000, 30_000, 60_000];
/** How far the clock that stops in a suspend may lag behind before it counts as one. */
const suspendThreshold: Milliseconds = 500;

/** What a peer looks like now. */
export interface PeerObservation {
  readonly endpoint: Endpoint | undefined;
  /** The last authenticated message, 0 if there was none. */
  readonly receivedAt: Milliseconds;
  /** The first data sent since; 0 if none. */
  readonly unansweredSince: Milliseconds;
  /** Whether an initiation waits for its response. */
  readonly isShakingHands: boolean;
}

/** How its endpoint is reached: equal texts, equal ways; `undefined` where there is none. */
export type Way = string | undefined;

export type PersistenceAction<Key> =
  /** Find the addresses of this host, then tell `found`, whatever comes of it. */
  | { readonly kind: "look-up"; readonly key: Key; readonly host: string }
  /** Its host has moved: reach it there from now on, and shake hands at once. */
  | { readonly kind: "move"; readonly key: Key; readonly endpoint: Endpoint }
  /** Shake hands at once. Where it was too early after the last time, tell `postponed`. */
  | { readonly kind: "shake-hands"; readonly key: Key };

/** A peer to be kept in touch with. */
export interface PersistentPeer<Key> {
  readonly key: Key;
  /** Its endpoint's name, where it was given as one. */
  readonly host?: { readonly name: string; readonly port: number } | undefined;
}

interface Watched<Key> extends PersistentPeer<Key> {
  silence: Silence;
  isLookingUp: boolean;
  /** `unknown` until it is asked for the first time, and after a move. */
  way: Way | "unknown";
  wantsHandshake: boolean;
  /** Whether it was ever heard or called. One that never was is left alone. */
  isKnown: boolean;
}

type Silence =
  | { readonly kind: "none" }
  | {
      readonly kind: "silent";
      readonly since: Milliseconds;
      readonly receivedAt: Milliseconds;
      lookUps: number;
      nextLookUpAt: Milliseconds;
    };

export class PersistenceState<Key> {
  readonly #peers: Map<Key, Watched<Key>>;
  #actions: PersistenceAction<Key>[] = [];
  #lag: Milliseconds | undefined;

  constructor(peers: readonly PersistentPeer<Key>[]) {
    this.#peers = new Map(
      peers.map((peer) => [
        peer.key,
        {
          ...peer,
          silence: { kind: "none" },
          isLookingUp: false,
          way: "unknown",
          wantsHandshake: false,
          isKnown: false,
        },
      ]),
    );
  }

  get keys(): Iterable<Key> {
    return this.#peers.keys();
  }

  /** To be told about once a second, and after anything else, for every peer. */
  observe(now: Milliseconds, key: Key, seen: PeerObservation): void {
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    const isWaiting = seen.isShakingHands || seen.unansweredSince > 0;
    if (isWaiting || seen.receivedAt > 0) peer.isKnown = true;
    if (!isWaiting || (peer.silence.kind === "silent" && seen.receivedAt > peer.silence.receivedAt)) {
      peer.silence = { kind: "none" };
    }
    if (isWaiting && peer.silence.kind === "none") {
      const since = seen.unansweredSince > 0 ? seen.unansweredSince : now;
      peer.silence = { kind: "silent", since, receivedAt: seen.receivedAt, lookUps: 0, nextLookUpAt: since };
    }
    this.#lookUpIfDue(now, peer, seen.isShakingHands ? handshakePatience : dataPatience);
    if (peer.wantsHandshake && peer.isKnown && peer.way !== undefined) {
      peer.wantsHandshake = false;
      this.#actions.push({ kind: "shake-hands", key });
    }
  }

  /**
   * To be told both clocks about once a second: the one that goes on in a suspend has then moved away from the one that
   * stops. Whether the machine has just woken.
   */
  compareClocks(now: Milliseconds, monotonic: Milliseconds): boolean {
    const lag = now - monotonic;
    const woke = this.#lag !== undefined && lag - this.#lag > suspendThreshold;
    this.#lag = lag;
    if (woke) for (const peer of this.#peers.values()) peer.wantsHandshake = true;
    return woke;
  }

  /** To be told at the start, after a move, and whenever routes or addresses changed. */
  noteWay(key: Key, way: Way): void {
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    if (peer.way !== "unknown" && way !== peer.way) peer.wantsHandshake = true; // once there is one
    peer.way = way;
  }

  /** The addresses that a look-up found, best first; none where it failed. `endpoint` is where the peer is now. */
  found(key: Key, addresses: readonly IpAddress[], endpoint: Endpoint | undefined): void {
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    peer.isLookingUp = false;
    if (peer.silence.kind === "none" || peer.host === undefined || addresses.length === 0) return;
    const { port } = peer.host;
    const present = addresses.findIndex((address) => endpoint?.equals(new Endpoint(address, port)));
    // One that is silent although its name still leads there may have another address that is not.
    const next = new Endpoint(addresses[(present + 1) % addresses.length], port);
    if (endpoint?.equals(next)) return;
    peer.way = "unknown";
    this.#actions.push({ kind: "move", key, endpoint: next });
  }

  /** The handshake asked for was too early. It is asked for again at the next observation. */
  postponed(key: Key): void {
    const peer = this.#peers.get(key);
    if (peer !== undefined) peer.wantsHandshake = true;
  }

  /** What is to be done since the last call. */
  drain(): PersistenceAction<Key>[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  #lookUpIfDue(now: Milliseconds, peer: Watched<Key>, patience: Milliseconds): void {
    const { silence, host } = peer;
    if (silence.kind === "none" || host === undefined || peer.isLookingUp) return;
    if (now < silence.since + patience || now < silence.nextLookUpAt) return;
    const interval = lookUpIntervals[Math.min(silence.lookUps, lookUpIntervals.length - 1)];
    silence.lookUps++;
    silence.nextLookUpAt = now + interval;
    peer.isLookingUp = true;
    this.#actions.push({ kind: "look-up", key: peer.key, host: host.name });
  }
}
