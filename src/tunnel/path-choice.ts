/**
 * Which of several ways to a peer is taken, as a pure state machine: what is seen of the peer and of the ways comes in,
 * with the time; what is to be done comes out, each move with its reason.
 *
 * - *Race*: without a session the way in use has a head start; then the others have their turn, the preferred ones first.
 * - *Silence*: data went out, nothing came back, and a probe of the same way is not answered either: the session moves to
 *   the next way that works. The probe tells a dead way from a peer that owes nothing yet.
 * - *Loss*: a way that goes on losing much is tried against another; the one that delivers clearly more is kept.
 * - *Return*: ways preferred to the one in use are probed, ever more rarely, and taken when they answer. One that has been
 *   left again soon after is left alone for longer each time.
 */
import type { PathStanding } from "./path-standing.ts";

/** Milliseconds of CLOCK_BOOTTIME. */
type Milliseconds = number;

/** What a peer looks like now; bytes and messages are totals. */
export interface PathSight {
  readonly hasSession: boolean;
  readonly isShakingHands: boolean;
  /** The last authenticated message, and the first data sent since; 0 if there was none. */
  readonly receivedAt: Milliseconds;
  readonly unansweredSince: Milliseconds;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Of the messages that the peer has numbered since the last look: those that came, and those that are missing. */
  readonly arrived: number;
  readonly missing: number;
  /** Whether each way could carry a datagram at once. */
  readonly ready: readonly boolean[];
}

export type PathAction =
  /** Make its connection, if it needs one; whether it has one is seen by `ready`. */
  | { readonly kind: "connect"; readonly path: number }
  /** Ask the peer whether it hears us there; tell `answered` if so. */
  | { readonly kind: "probe"; readonly path: number }
  /** Send there from now on. */
  | { readonly kind: "move"; readonly path: number }
  /** Say something on the way in use: a probe may have drawn the peer elsewhere. */
  | { readonly kind: "recall" }
  /** Say in the log what was decided. */
  | { readonly kind: "tell"; readonly text: string };

export interface Decision {
  readonly at: Milliseconds;
  readonly text: string;
}

const headStart: Milliseconds = 300;
const turn: Milliseconds = 2000;
/**
 * At least, and four known round trips. With the patience before it, a session has moved before TCP inside repeats itself
 * for the third time, 1.4 s after what was lost (RFC 6298, with Linux's least timeout of 0.2 s).
 */
const probePatience: Milliseconds = 500;
const probeAgain: Milliseconds = 1000;
/** What is measured of the way in use holds for so long. */
const freshness: Milliseconds = 10_000;
/** With fewer messages in a second, loss is chance. */
const enoughMessages = 50;
const lossyShare = 0.05;
const lossySeconds = 3;
const trialSettle: Milliseconds = 1000;
const trialLength: Milliseconds = 5000;
const clearlyMore = 1.25;
const rememberedDecisions = 8;

type Phase =
  | { readonly kind: "calm" }
  | { readonly kind: "racing"; turnAt: Milliseconds; readonly tried: Set<number> }
  | { readonly kind: "suspecting"; readonly since: Milliseconds; probedAt: Milliseconds }
  /** Another way is being compared with the one that lost much; `begun` once it has settled. */
  | {
      readonly kind: "trying";
      readonly from: number;
      readonly formerRate: number;
      readonly since: Milliseconds;
      begun: number;
    };

export class PathChoice {
  readonly standings: readonly PathStanding[];
  readonly decisions: Decision[] = [];
  #active = 0;
  #phase: Phase = { kind: "calm" };
  #actions: PathAction[] = [];
  #shakingSince: Milliseconds | undefined;
  /** Silence before this says nothing about the way in use. */
  #excusedUntil: Milliseconds = 0;
  #second = { at: 0, bytes: 0, arrived: 0, missing: 0 };
  #lossyFor = 0;

  /** In the order of preference; the first is in use. */
  constructor(standings: readonly PathStanding[]) {
    this.standings = standings;
  }

  get active(): number {
    return this.#active;
  }

  /** Whether something is under way that wants to be looked at more often. */
  get isBusy(): boolean {
    return this.#phase.kind === "racing" || this.#phase.kind === "suspecting" || this.#shakingSince !== undefined;
  }

  /** To be told several times a second. */
  observe(now: Milliseconds, sight: PathSight): void {
    this.#measure(now, sight);
    if (!sight.isShakingHands) this.#shakingSince = undefined;
    else this.#shakingSince ??= now;
    for (const standing of this.standings) standing.expire(now);
    switch (this.#phase.kind) {
      case "calm":
        this.#watch(now, sight);
        break;
      case "racing":
        this.#race(now, sight, this.#phase);
        break;
      case "suspecting":
        this.#suspect(now, sight, this.#phase);
        break;
      case "trying":
        this.#try(now, sight, this.#phase);
    }
  }

  /** A probe of this way was answered. */
  answered(now: Milliseconds, path: number, roundTripMs: Milliseconds): void {
    const standing = this.standings[path];
    standing.answered(roundTripMs);
    if (path === this.#active) {
      if (this.#phase.kind !== "suspecting") return;
      standing.excuse(now);
      this.#calm(now);
      return;
    }
    if (path > this.#active || this.#phase.kind !== "calm") return;
    const present = this.standings[this.#active];
    if (standing.isSlowBeside(present)) {
      standing.postpone(now);
      this.#note(now, `${standing.name} answers, but only after ${roundTripMs} ms: staying with ${present.name}`);
      return;
    }
    standing.returnedTo(now);
    this.#move(now, path, `${standing.name} answers again, in ${roundTripMs} ms`);
  }

  /** What is to be done since the last call. */
  drain(): PathAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  #watch(now: Milliseconds, sight: PathSight): void {
    if (!sight.hasSession) {
      const since = this.#shakingSince;
      if (since === undefined || now - since < headStart) return;
      this.#phase = { kind: "racing", turnAt: since, tried: new Set([this.#active]) };
      this.#race(now, sight, this.#phase);
      return;
    }
    if (this.#suspectIfSilent(now, sight) || this.#leaveIfLossy(now, sight)) return;
    if (sight.isShakingHands) return; // a probe's answer and the handshake's would cross
    this.#lookBack(now, sight);
  }

  #race(now: Milliseconds, sight: PathSight, phase: Phase & { kind: "racing" }): void {
    if (sight.hasSession) {
      this.#note(now, `${this.standings[this.#active].name} answered first`);
      this.#calm(now);
      return;
    }
    if (this.#shakingSince === undefined) {
      this.#phase = { kind: "calm" }; // nobody wants a session any more
      return;
    }
    const others = this.#others();
    if (others.every((path) => phase.tried.has(path))) phase.tried.clear();
    for (const path of others) if (!sight.ready[path]) this.#actions.push({ kind: "connect", path });
    const patience = phase.turnAt === this.#shakingSince ? headStart : turn;
    if (now - phase.turnAt < patience) return;
    const next = others.find((path) => sight.ready[path] && !phase.tried.has(path));
    if (next === undefined) return;
    const why = `${this.standings[this.#active].name} has not answered for ${seconds(now - phase.turnAt)} s`;
    phase.turnAt = now;
    phase.tried.add(next);
    this.standings[this.#active].leave(now);
    this.#move(now, next, why);
  }

  #suspectIfSilent(now: Milliseconds, sight: PathSight): boolean {
    const { unansweredSince } = sight;
    if (unansweredSince === 0) return false;
    const silent = now - Math.max(unansweredSince, this.#excusedUntil);
    if (silent < this.standings[this.#active].patienceMs) return false;
    this.#phase = { kind: "suspecting", since: now, probedAt: now };
    this.#probe(now, this.#active);
    for (const path of this.#others()) if (!sight.ready[path]) this.#actions.push({ kind: "connect", path });
    return true;
  }

  #suspect(now: Milliseconds, sight: PathSight, phase: Phase & { kind: "suspecting" }): void {
    const present = this.standings[this.#active];
    if (sight.receivedAt > phase.since) {
      present.excuse(now);
      this.#calm(now);
      return;
    }
    if (!sight.hasSession) {
      this.#phase = { kind: "calm" };
      return;
    }
    if (now - phase.since < Math.max(probePatience, present.probePatienceMs)) return;
    const next = this.#others().find((path) => sight.ready[path] && this.standings[path].mayBeTried(now));
    if (next === undefined) {
      if (now - phase.probedAt < probeAgain) return;
      phase.probedAt = now;
      this.#probe(now, this.#active);
      for (const path of this.#others()) if (!sight.ready[path]) this.#actions.push({ kind: "connect", path });
      return;
    }
    const silentMs = now - Math.max(sight.unansweredSince, this.#excusedUntil);
    present.leave(now);
    this.#phase = { kind: "calm" };
    this.#move(now, next, `${present.name} has answered nothing for ${seconds(silentMs)} s, nor a probe`);
  }

  #leaveIfLossy(now: Milliseconds, sight: PathSight): boolean {
    if (this.#lossyFor < lossySeconds) return false;
    const present = this.standings[this.#active];
    const candidates = this.#others().filter((path) => this.standings[path].mayBeCompared(now));
    const next = candidates.find((path) => sight.ready[path]);
    if (next === undefined) {
      for (const path of candidates) this.#actions.push({ kind: "connect", path });
      return false;
    }
    const share = Math.round(100 * present.lossShare);
    this.#phase = { kind: "trying", from: this.#active, formerRate: present.bytesPerSecond, since: now, begun: -1 };
    this.#move(now, next, `${present.name} loses ${share} % of what comes: trying ${this.standings[next].name}`);
    return true;
  }

  #try(now: Milliseconds, sight: PathSight, phase: Phase & { kind: "trying" }): void {
    const bytes = sight.sentBytes + sight.receivedBytes;
    if (this.#suspectIfSilent(now, sight)) return;
    if (phase.begun < 0 && now - phase.since >= trialSettle) phase.begun = bytes;
    if (now - phase.since < trialLength) return;
    const rate = (bytes - phase.begun) / ((trialLength - trialSettle) / 1000);
    const [tried, former] = [this.standings[this.#active], this.standings[phase.from]];
    this.#phase = { kind: "calm" };
    if (rate >= clearlyMore * phase.formerRate) {
      former.leave(now);
      former.avoid(now);
      this.#note(now, `staying with ${tried.name}: it delivers ${times(rate, phase.formerRate)} as much`);
      return;
    }
    tried.lostComparison(now);
    this.#move(now, phase.from, `${tried.name} delivers ${times(rate, phase.formerRate)} as much: not worth it`);
  }

  /** Probes ways that are preferred to the one in use. */
  #lookBack(now: Milliseconds, sight: PathSight): void {
    const path = this.standings.findIndex((standing, i) => i < this.#active && standing.isDue(now));
    const unanswered = this.standings.findIndex((standing, i) => i !== this.#active && standing.missedProbe(now));
    if (unanswered >= 0) {
      this.standings[unanswered].unanswered(now);
      this.#actions.push({ kind: "recall" });
    }
    if (path < 0) return;
    const present = this.standings[this.#active];
    if (!present.wasProbedSince(now - freshness))
      this.#probe(now, this.#active); // to compare it with
    else if (sight.ready[path]) {
      if (!present.isProbing(now)) this.#probe(now, path);
    } else {
      this.standings[path].postpone(now);
      this.#actions.push({ kind: "connect", path });
    }
  }

  #measure(now: Milliseconds, sight: PathSight): void {
    const second = this.#second;
    const bytes = sight.sentBytes + sight.receivedBytes;
    second.arrived += sight.arrived;
    second.missing += sight.missing;
    if (now - second.at < 1000) return;
    const messages = second.arrived + second.missing;
    if (second.at > 0) {
      const share = messages < enoughMessages ? undefined : second.missing / messages;
      this.standings[this.#active].measured(share, (1000 * (bytes - second.bytes)) / (now - second.at));
      this.#lossyFor = share !== undefined && share > lossyShare ? this.#lossyFor + 1 : 0;
    }
    this.#second = { at: now, bytes, arrived: 0, missing: 0 };
  }

  #others(): number[] {
    return [...this.standings.keys()].filter((path) => path !== this.#active);
  }

  #probe(now: Milliseconds, path: number): void {
    this.standings[path].probed(now);
    this.#actions.push({ kind: "probe", path });
  }

  #calm(now: Milliseconds): void {
    this.#phase = { kind: "calm" };
    this.#excusedUntil = now;
  }

  #move(now: Milliseconds, path: number, why: string): void {
    this.#active = path;
    this.#excusedUntil = now;
    this.#lossyFor = 0;
    this.#second = { at: 0, bytes: 0, arrived: 0, missing: 0 };
    this.#actions.push({ kind: "move", path });
    this.#note(now, `${why}: now by ${this.standings[path].name}`);
  }

  #note(now: Milliseconds, text: string): void {
    this.decisions.push({ at: now, text });
    this.#actions.push({ kind: "tell", text });
    if (this.decisions.length > rememberedDecisions) this.decisions.shift();
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

function times(rate: number, former: number): string {
  return former === 0 ? "nothing to compare with" : `${(rate / former).toFixed(1)} times`;
}
