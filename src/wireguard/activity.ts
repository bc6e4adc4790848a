/**
 * When traffic with a peer last moved: all that the timers know of the data path. In production the stamps lie in memory
 * that worker threads write, so they are read anew each time, never kept. Times are ms of CLOCK_BOOTTIME; 0 is never.
 *
 * The two `since` stamps are set only where they are 0 and cleared by either side; a clear that meets a set loses
 * nothing but one timer's worth of patience, so several writers are harmless.
 */
import type { Milliseconds } from "./constants.ts";

export interface Activity {
  /** The last authenticated message sent: data, keepalive or handshake. */
  sentAt: Milliseconds;
  /** The last authenticated message received. */
  receivedAt: Milliseconds;
  /** The first data message (no keepalive) sent since anything authenticated was received; 0 if none. */
  unansweredSince: Milliseconds;
  /** The first data message (no keepalive) received since anything authenticated was sent; 0 if none. */
  unacknowledgedSince: Milliseconds;
}

export function idleActivity(): Activity {
  return { sentAt: 0, receivedAt: 0, unansweredSince: 0, unacknowledgedSince: 0 };
}

/** An authenticated message went out; `isData` unless it was a keepalive or of a handshake. */
export function noteSent(activity: Activity, now: Milliseconds, isData: boolean): void {
  activity.sentAt = now;
  activity.unacknowledgedSince = 0;
  if (isData && activity.unansweredSince === 0) activity.unansweredSince = now;
}

/** An authenticated message came in; `isData` unless it was a keepalive or of a handshake. */
export function noteReceived(activity: Activity, now: Milliseconds, isData: boolean): void {
  activity.receivedAt = now;
  activity.unansweredSince = 0;
  if (isData && activity.unacknowledgedSince === 0) activity.unacknowledgedSince = now;
}
