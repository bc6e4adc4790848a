/**
 * TAI64N stamps in handshake initiations (whitepaper §5.1; the format is D. J. Bernstein's): 8 bytes of seconds and 4 of
 * nanoseconds, big-endian, so that later stamps compare greater as byte strings. A responder takes only rising ones.
 *
 * Stamps are cut to 2^24 ns (16.8 ms), as other implementations do, lest they tell an observer of the responder's
 * timing too much about our clock. Where the wall clock has not moved on by that much since the last stamp, or was set
 * back, the next stamp is the last plus one such step: the peer must not refuse us until the clock has caught up.
 */
import type { Milliseconds } from "./constants.ts";

export const timestampLength = 12;

/** One step, in nanoseconds. */
const granule = 2 ** 24;
/** The label of 1970-01-01T00:00:00 UTC: TAI64 counts from 2^62 and was then ten seconds ahead. */
const labelHigh = 0x4000_0000;
const labelLow = 10;

/** A stamp for the wall clock's `time` (ms since 1970, UTC), later than `last` if there is one. */
export function stampAfter(last: Uint8Array | undefined, time: Milliseconds): Uint8Array {
  const seconds = Math.floor(time / 1_000);
  const stamp = encode(seconds, Math.floor((time - seconds * 1_000) * 1e6));
  if (last === undefined || isLater(stamp, last)) return stamp;
  const view = new DataView(last.buffer, last.byteOffset);
  const lastSeconds = (view.getUint32(0) - labelHigh) * 0x1_0000_0000 + view.getUint32(4) - labelLow;
  const nanoseconds = view.getUint32(8) + granule;
  return nanoseconds < 1e9 ? encode(lastSeconds, nanoseconds) : encode(lastSeconds + 1, 0);
}

/** Whether `stamp` is strictly later than `other`. */
export function isLater(stamp: Uint8Array, other: Uint8Array): boolean {
  for (let i = 0; i < timestampLength; i++) {
    if (stamp[i] !== other[i]) return stamp[i] > other[i];
  }
  return false;
}

function encode(seconds: number, nanoseconds: number): Uint8Array {
  const stamp = new Uint8Array(timestampLength);
  const view = new DataView(stamp.buffer);
  const labelled = seconds + labelLow;
  view.setUint32(0, labelHigh + Math.floor(labelled / 0x1_0000_0000));
  view.setUint32(4, labelled % 0x1_0000_0000);
  view.setUint32(8, nanoseconds - (nanoseconds % granule));
  return stamp;
}
