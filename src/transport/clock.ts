/**
 * Time for whatever waits: the stream transports and the relay ask one of these, never the machine, so that their
 * deadlines can be tested without waiting for them. A timer here is about a connection, never about the protocol.
 */
import { bootTime } from "../os/clock.ts";

export interface Clock {
  /** Milliseconds of CLOCK_BOOTTIME. */
  now(): number;
  /** Calls back once, so many milliseconds from now; disposing of it prevents that. */
  after(delayMs: number, action: () => void): Disposable;
}

/** The machine's. What waits does not keep the process alive: sockets do. */
export const systemClock: Clock = {
  now: bootTime,
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs).unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** Calls back again and again, every so many milliseconds, until disposed of. */
export function every(clock: Clock, intervalMs: number, action: () => void): Disposable {
  let next: Disposable;
  const again = (): void => {
    next = clock.after(intervalMs, again);
    action();
  };
  next = clock.after(intervalMs, again);
  return { [Symbol.dispose]: () => next[Symbol.dispose]() };
}
