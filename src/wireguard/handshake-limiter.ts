/**
 * How many handshakes one source may ask of us while we are under load: a token bucket for each IPv4 address and each
 * IPv6 /64, which is what one customer gets (RFC 6177). The table is bounded; its entries are kept in order of last
 * use, so that those whose bucket is full again, which say nothing, are found at the front.
 */
import type { IpAddress } from "../base/address.ts";
import { toHex } from "../base/bytes.ts";
import { LimiterBurst, LimiterRatePerSecond, type Milliseconds } from "./constants.ts";

interface Bucket {
  readonly tokens: number;
  readonly at: Milliseconds;
}

const tokensPerMs = LimiterRatePerSecond / 1_000;
const refillTime: Milliseconds = LimiterBurst / tokensPerMs;

export class HandshakeLimiter {
  readonly #capacity: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(capacity = 16_384) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Whether this source may go on; takes a token if so. With a full table no new source may. */
  allow(now: Milliseconds, source: IpAddress): boolean {
    const key = toHex(source.family === 4 ? source.bytes : source.bytes.subarray(0, 8));
    const bucket = this.#buckets.get(key);
    if (bucket === undefined && !this.#makeRoom(now)) return false;
    const tokens = bucket === undefined ? LimiterBurst : refilled(bucket, now);
    const allowed = tokens >= 1;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: allowed ? tokens - 1 : tokens, at: now });
    return allowed;
  }

  #makeRoom(now: Milliseconds): boolean {
    for (const [key, { at }] of this.#buckets) {
      if (now - at < refillTime) break;
      this.#buckets.delete(key);
    }
    return this.#buckets.size < this.#capacity;
  }
}

function refilled({ tokens, at }: Bucket, now: Milliseconds): number {
  return Math.min(LimiterBurst, tokens + (now - at) * tokensPerMs);
}
