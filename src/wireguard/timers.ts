/**
 * The five timers of a peer. None is armed by a callback: each deadline is worked out, whenever asked for, from the
 * stamps of the data path and what little this class remembers. `Peer.expire` acts on those that are due.
 */
import type { Activity } from "./activity.ts";
import {
  KeepaliveTimeout,
  type Milliseconds,
  RejectAfterTime,
  RekeyTimeout,
  RekeyTimeoutJitterMax,
} from "./constants.ts";
import type { Random } from "./cookies.ts";
import { readUint32 } from "./messages.ts";

/**
 * In the order in which they fire when several are due, as after a suspend: keys go first, lest a handshake that another
 * timer has just begun goes with them.
 *
 * - `erasure`: no session was derived for three lifetimes; the keys must go.
 * - `retry`: the handshake under way was not answered.
 * - `silence`: data went out and nothing authenticated came back; the session may be dead.
 * - `passive-keepalive`: data came in and nothing went back; the peer may think the session dead.
 * - `persistent-keepalive`: nothing moved for the configured interval; a NAT may forget us.
 */
export const timers = ["erasure", "retry", "silence", "passive-keepalive", "persistent-keepalive"] as const;
export type Timer = (typeof timers)[number];

/** Stands for the attempts of a handshake that has yet to have its turn. */
export const notBegun = -1;
const never = Number.POSITIVE_INFINITY;

export class Timers {
  readonly #activity: Activity;
  /** The handshake under way; `attempts` are those made by the timer, after the first. */
  retry: { readonly dueAt: Milliseconds; readonly attempts: number } | undefined;
  /** Initiations sent since the last handshake, whoever asked for them. */
  unanswered = 0;
  /** Redrawn at each firing, so that two peers who lose one another do not stay in step. */
  silenceJitter: Milliseconds = 0;
  persistentKeepaliveMs: Milliseconds | undefined;
  /** When a persistent keepalive was last asked for; that it was sent shows in the activity only later. */
  persistentRequestedAt: Milliseconds = 0;
  erasureAt: Milliseconds | undefined;

  constructor(activity: Activity) {
    this.#activity = activity;
  }

  /** When this timer is due: ms of CLOCK_BOOTTIME, infinity if nothing awaits it. */
  deadline(timer: Timer): Milliseconds {
    const activity = this.#activity;
    switch (timer) {
      case "retry":
        return this.retry?.dueAt ?? never;
      case "silence":
        if (activity.unansweredSince === 0) return never;
        return activity.unansweredSince + KeepaliveTimeout + RekeyTimeout + this.silenceJitter;
      case "passive-keepalive":
        return activity.unacknowledgedSince === 0 ? never : activity.unacknowledgedSince + KeepaliveTimeout;
      case "persistent-keepalive": {
        if (this.persistentKeepaliveMs === undefined) return never;
        const movedAt = Math.max(activity.sentAt, activity.receivedAt, this.persistentRequestedAt);
        return movedAt === 0 ? 0 : movedAt + this.persistentKeepaliveMs;
      }
      case "erasure":
        return this.erasureAt ?? never;
    }
  }

  /** The earliest deadline, or infinity. */
  next(): Milliseconds {
    let earliest = never;
    for (const timer of timers) earliest = Math.min(earliest, this.deadline(timer));
    return earliest;
  }

  /** A session was derived, or a handshake was given up and left its ephemeral behind. */
  scheduleErasure(now: Milliseconds): void {
    this.erasureAt = now + 3 * RejectAfterTime;
  }

  /** Forgets all but the configuration. */
  reset(): void {
    this.retry = undefined;
    this.unanswered = 0;
    this.persistentRequestedAt = 0;
    this.erasureAt = undefined;
  }
}

/** So that two ends that began together do not go on together (whitepaper §6.1). */
export function rekeyJitter(random: Random): Milliseconds {
  return (readUint32(random(4), 0) / 0x1_0000_0000) * RekeyTimeoutJitterMax;
}
