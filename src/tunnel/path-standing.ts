/**
 * What is known of one way to a peer, and when it may be asked or taken again: round trip, loss, what it delivered, and
 * how often it has disappointed. Pure.
 */

/** Milliseconds of CLOCK_BOOTTIME. */
type Milliseconds = number;

const firstPatience: Milliseconds = 700;
/** A peer that hears us answers data within ten seconds, if only by a keepalive (whitepaper §6.5). */
const longestPatience: Milliseconds = 16_000;
/** A probe that waits longer, and longer than four times the last round trip, is not answered. */
const probePatience: Milliseconds = 1500;
const firstReturn: Milliseconds = 3000;
const longestReturn: Milliseconds = 12_000;
/** Left within this time after it was returned to, a way has disappointed. */
const settled: Milliseconds = 60_000;
const firstAvoidance: Milliseconds = 30_000;
const longestAvoidance: Milliseconds = 600_000;
const retryAfterLeaving: Milliseconds = 5000;
/** So much slower than another, in both respects, is not worth going back to. */
const slowFactor = 3;
const slowExcess: Milliseconds = 200;

export class PathStanding {
  readonly name: string;
  /** How long it may be silent before it is suspected. Grows where that proved wrong: some peers owe nothing for long. */
  patienceMs: Milliseconds = firstPatience;
  roundTripMs: Milliseconds | undefined;
  /** Of what came by it, lately. */
  lossShare = 0;
  bytesPerSecond = 0;
  #excusedAt: Milliseconds = 0;
  #probedAt: Milliseconds | undefined;
  #lastProbeAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #nextAt: Milliseconds = 0;
  #returnedAt = Number.NEGATIVE_INFINITY;
  #leftAt = Number.NEGATIVE_INFINITY;
  #avoidanceMs: Milliseconds = 0;
  #comparisonsLost = 0;
  #comparableAt: Milliseconds = 0;

  constructor(name: string) {
    this.name = name;
  }

  get probePatienceMs(): Milliseconds {
    return 4 * (this.roundTripMs ?? 0);
  }

  /** When it is to be asked next, should it not be in use. */
  get nextProbeAt(): Milliseconds {
    return this.#nextAt;
  }

  expire(now: Milliseconds): void {
    if (this.patienceMs === firstPatience || now - this.#excusedAt < settled) return;
    this.patienceMs = Math.max(firstPatience, this.patienceMs / 2);
    this.#excusedAt = now;
  }

  /** It was suspected wrongly. */
  excuse(now: Milliseconds): void {
    this.patienceMs = Math.min(longestPatience, 2 * this.patienceMs);
    this.#excusedAt = now;
  }

  probed(now: Milliseconds): void {
    this.#probedAt = now;
    this.#lastProbeAt = now;
  }

  answered(roundTripMs: Milliseconds): void {
    this.#probedAt = undefined;
    this.#failures = 0;
    this.roundTripMs = roundTripMs;
  }

  /** Whether a probe waits for its answer, which may still come. */
  isProbing(now: Milliseconds): boolean {
    return this.#probedAt !== undefined && now - this.#probedAt < probePatience;
  }

  /** Whether a probe has waited for too long. */
  missedProbe(now: Milliseconds): boolean {
    return this.#probedAt !== undefined && now - this.#probedAt >= Math.max(probePatience, this.probePatienceMs);
  }

  unanswered(now: Milliseconds): void {
    this.#probedAt = undefined;
    this.#failures++;
    this.postpone(now);
  }

  wasProbedSince(at: Milliseconds): boolean {
    return this.#lastProbeAt >= at;
  }

  /** Whether it is to be probed now. */
  isDue(now: Milliseconds): boolean {
    return now >= this.#nextAt && this.#probedAt === undefined;
  }

  postpone(now: Milliseconds): void {
    this.#nextAt = Math.max(this.#nextAt, now + Math.min(longestReturn, firstReturn * 1.5 ** this.#failures));
  }

  /** It has been left for another. */
  leave(now: Milliseconds): void {
    this.#leftAt = now;
    this.#probedAt = undefined;
    this.#failures = 0;
    this.#nextAt = now + firstReturn;
    if (now - this.#returnedAt < settled) this.avoid(now);
    else this.#avoidanceMs = 0;
  }

  /** It is not worth asking for a while, and each time a longer one. */
  avoid(now: Milliseconds): void {
    this.#avoidanceMs = Math.min(longestAvoidance, Math.max(firstAvoidance, 2 * this.#avoidanceMs));
    this.#nextAt = now + this.#avoidanceMs;
  }

  returnedTo(now: Milliseconds): void {
    this.#returnedAt = now;
  }

  /** Whether there is a chance that it works again, after it was left. */
  mayBeTried(now: Milliseconds): boolean {
    return now - this.#leftAt >= retryAfterLeaving;
  }

  mayBeCompared(now: Milliseconds): boolean {
    return now >= this.#comparableAt && now >= this.#nextAt;
  }

  lostComparison(now: Milliseconds): void {
    this.#comparisonsLost++;
    this.#comparableAt = now + Math.min(longestAvoidance, firstAvoidance * 2 ** this.#comparisonsLost);
  }

  isSlowBeside({ roundTripMs }: PathStanding): boolean {
    if (this.roundTripMs === undefined || roundTripMs === undefined) return false;
    return this.roundTripMs > slowFactor * roundTripMs && this.roundTripMs > roundTripMs + slowExcess;
  }

  /** A second of use. `share` is undefined where too little came to tell. */
  measured(share: number | undefined, bytesPerSecond: number): void {
    this.bytesPerSecond = 0.5 * this.bytesPerSecond + 0.5 * bytesPerSecond;
    if (share !== undefined) this.lossShare = 0.5 * this.lossShare + 0.5 * share;
  }
}
