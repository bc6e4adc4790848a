/**
 * `poll` over a fixed list of descriptors, laid out once in an arena so that waiting allocates nothing.
 *
 * Hot path: `wait` and `ready` are called once per batch of packets.
 */
import type { Arena } from "./arena.ts";
import { type Address, errno, libc } from "./libc.ts";
import { Errno, SystemError } from "./system-error.ts";

export const POLLIN = 0x01;
export const POLLOUT = 0x04;
/** A TUN device that was deleted answers this, and so does a socket with an error to collect. */
export const POLLERR = 0x08;
export const POLLNVAL = 0x20;

/** struct pollfd: the descriptor, what is asked for, what is so. */
const PollFd = { size: 8, fd: 0, events: 4, revents: 6 } as const;
/** struct timespec, behind the descriptors: seconds and nanoseconds, of which the low words suffice. */
const Timeout = { size: 16, seconds: 0, nanoseconds: 8 } as const;

/** Bytes that a poller of so many descriptors takes in its arena. */
export function pollerSize(descriptors: number): number {
  return descriptors * PollFd.size + Timeout.size;
}

export class Poller {
  readonly #events: Int16Array;
  readonly #address: Address;
  readonly #words: Int32Array;
  readonly #first: number;
  readonly #timeout: number;
  readonly #count: number;

  /**
   * Lays out `pollerSize(descriptors.length)` bytes at offset `at`, a multiple of 8, asking for POLLIN. A descriptor of
   * -1 is passed over by the kernel: it keeps its place and is never ready.
   */
  constructor(arena: Pick<Arena, "buffer" | "base">, at: number, descriptors: readonly number[]) {
    this.#words = new Int32Array(arena.buffer);
    this.#events = new Int16Array(arena.buffer);
    this.#address = arena.base + at;
    this.#first = at / 2;
    this.#count = descriptors.length;
    this.#timeout = at + descriptors.length * PollFd.size;
    this.#words.fill(0, this.#timeout / 4, (this.#timeout + Timeout.size) / 4);
    for (const [i, fd] of descriptors.entries()) {
      this.#words[(at + i * PollFd.size) / 4] = fd;
      this.watch(i, POLLIN);
    }
  }

  /** What to wait for on the descriptor at position `i`; POLLERR, POLLHUP and POLLNVAL are always reported. */
  watch(i: number, events: number): void {
    this.#events[this.#first + (i * PollFd.size + PollFd.events) / 2] = events;
  }

  /**
   * Blocks until something is ready or the time is over (-1: for ever; fractions of a millisecond count) and returns how
   * many are. Signals are ignored.
   */
  wait(timeoutMs: number): number {
    let timeout = 0;
    if (timeoutMs >= 0) {
      const seconds = Math.floor(timeoutMs / 1000);
      this.#words[(this.#timeout + Timeout.seconds) / 4] = seconds;
      this.#words[(this.#timeout + Timeout.nanoseconds) / 4] = (timeoutMs - 1000 * seconds) * 1e6;
      timeout = this.#address + this.#count * PollFd.size;
    }
    for (;;) {
      const ready = libc.ppoll(this.#address, this.#count, timeout, 0);
      if (ready >= 0) return ready;
      const failure = errno();
      if (failure !== Errno.EINTR) throw new SystemError("ppoll", failure);
    }
  }

  /** What `wait` found on the descriptor at position `i`: a set of POLL flags, 0 for none. */
  ready(i: number): number {
    return this.#events[this.#first + (i * PollFd.size + PollFd.revents) / 2];
  }
}
