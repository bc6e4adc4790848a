/**
 * Who is connected to a listening port, and for how long strangers may stay. Everybody begins as somebody who has not
 * said what they want; some become visitors, who look at a web page; some bring a link. A link *counts* once the tunnel
 * behind has answered through it, which WireGuard does for nobody without a key it knows.
 *
 * The places are bounded, in all and for each source. When there is none left the oldest guest that does not count makes
 * room: strangers, however many, cannot keep out who has a key, nor put out who is in.
 */
import { IpAddress } from "../base/address.ts";
import type { CloseReason, DatagramLink } from "./datagram-link.ts";

/** Why a guest was turned away, or let go. */
export const guestFaults = [
  /** More from one source than it may have. */
  "source-crowded",
  /** No place left, and everybody in it counts. */
  "crowded",
  /** Had to make room. */
  "crowded-out",
  /** Did not say in time what it wants; TLS that was begun and not finished is such a case. */
  "late",
  /** Has looked at web pages for long enough. */
  "visit-over",
  /** Brought a link that the tunnel never answered. */
  "never-answered",
  /** First bytes that are of no protocol. */
  "unknown-protocol",
  /** A protocol that this port does not take. */
  "unwanted-protocol",
  /** TLS that failed. */
  "tls-failed",
] as const;
export type GuestFault = (typeof guestFaults)[number];

export interface GuestLimits {
  readonly guests: number;
  /** For each IPv4 address and IPv6 /64; loopback, where a reverse proxy may stand, has no such limit. */
  readonly guestsPerSource: number;
  /** To say what it wants, the handshake of TLS included. */
  readonly decideMs: number;
  readonly visitMs: number;
  /** For the tunnel to answer a link for the first time. */
  readonly answerMs: number;
}

export const defaultGuestLimits: GuestLimits = {
  guests: 256,
  guestsPerSource: 32,
  decideMs: 10_000,
  visitMs: 30_000,
  answerMs: 60_000,
};

type Stage =
  | { readonly kind: "undecided" }
  | { readonly kind: "visitor" }
  | { readonly kind: "link"; readonly link: DatagramLink; readonly counts: boolean };

export class Guest {
  readonly address: string;
  readonly since: number;
  #stage: Stage = { kind: "undecided" };
  #stageSince: number;
  readonly #list: GuestList;
  readonly #end: () => void;

  constructor(list: GuestList, address: string, now: number, end: () => void) {
    this.#list = list;
    this.address = address;
    this.since = now;
    this.#stageSince = now;
    this.#end = end;
  }

  /** What counts as one source with it; undefined for loopback, where a reverse proxy may stand for many. */
  get source(): string | undefined {
    return sourceOf(this.address);
  }

  get counts(): boolean {
    return this.#stage.kind === "link" && this.#stage.counts;
  }

  visit(now: number): void {
    this.#stage = { kind: "visitor" };
    this.#stageSince = now;
  }

  bring(now: number, link: DatagramLink): void {
    this.#stage = { kind: "link", link, counts: false };
    this.#stageSince = now;
  }

  /** The tunnel has answered. */
  answered(): void {
    if (this.#stage.kind === "link" && !this.#stage.counts) this.#stage = { ...this.#stage, counts: true };
  }

  expire(now: number, limits: GuestLimits): void {
    const stage = this.#stage;
    const elapsedMs = now - this.#stageSince;
    if (stage.kind === "undecided" && elapsedMs >= limits.decideMs) this.dismiss("late");
    else if (stage.kind === "visitor" && elapsedMs >= limits.visitMs) this.dismiss("visit-over");
    else if (stage.kind === "link") {
      if (!stage.counts && elapsedMs >= limits.answerMs) this.dismiss("never-answered", "unanswered");
      else stage.link.expire(now);
    }
  }

  /** Counts the fault and ends the connection, through its link where there is one. */
  dismiss(fault: GuestFault, reason: CloseReason = "crowded-out"): void {
    this.#list.faults[fault]++;
    if (this.#stage.kind === "link") this.#stage.link.close(reason);
    this.#end();
    this.leave();
  }

  /** The connection is no more. Again is harmless. */
  leave(): void {
    this.#list.remove(this);
  }

  end(): void {
    if (this.#stage.kind === "link") this.#stage.link.close();
    this.#end();
  }
}

export class GuestList {
  readonly faults: Record<GuestFault, number>;
  readonly limits: GuestLimits;
  /** In the order of arrival. */
  readonly #guests = new Set<Guest>();
  readonly #bySource = new Map<string, number>();

  constructor(limits: GuestLimits = defaultGuestLimits) {
    this.limits = limits;
    this.faults = Object.fromEntries(guestFaults.map((fault) => [fault, 0])) as Record<GuestFault, number>;
  }

  get size(): number {
    return this.#guests.size;
  }

  /** A place for who has just connected, or none. `end` breaks the connection off. */
  admit(now: number, address: string, end: () => void): Guest | undefined {
    const source = sourceOf(address);
    if (source !== undefined && (this.#bySource.get(source) ?? 0) >= this.limits.guestsPerSource) {
      this.faults["source-crowded"]++;
      return undefined;
    }
    if (this.#guests.size >= this.limits.guests && !this.#makeRoom()) {
      this.faults.crowded++;
      return undefined;
    }
    const guest = new Guest(this, address, now, end);
    this.#guests.add(guest);
    if (source !== undefined) this.#bySource.set(source, (this.#bySource.get(source) ?? 0) + 1);
    return guest;
  }

  remove(guest: Guest): void {
    if (!this.#guests.delete(guest)) return;
    const source = sourceOf(guest.address);
    if (source === undefined) return;
    const left = (this.#bySource.get(source) ?? 1) - 1;
    if (left === 0) this.#bySource.delete(source);
    else this.#bySource.set(source, left);
  }

  /** Acts on every deadline that has passed by `now`. */
  expire(now: number): void {
    for (const guest of [...this.#guests]) guest.expire(now, this.limits);
  }

  /** Ends them all. */
  clear(): void {
    for (const guest of [...this.#guests]) guest.end();
    this.#guests.clear();
    this.#bySource.clear();
  }

  #makeRoom(): boolean {
    for (const guest of this.#guests) {
      if (guest.counts) continue;
      guest.dismiss("crowded-out");
      return true;
    }
    return false;
  }
}

/** What counts as one source; `undefined` for loopback. */
function sourceOf(address: string): string | undefined {
  const { bytes, family } = IpAddress.parse(address.replace(/%.*$/, ""));
  if (family === 4) return bytes[0] === 127 ? undefined : address;
  const prefix = bytes.subarray(0, 8).join();
  return bytes.subarray(0, 15).every((byte) => byte === 0) && bytes[15] === 1 ? undefined : prefix;
}
