/**
 * The clock of the protocol: milliseconds of CLOCK_BOOTTIME, which goes on while the machine sleeps. Keys timed by a
 * clock that stops would outlive their time over a suspend.
 */
import { Arena } from "./arena.ts";
import { type Address, libc } from "./libc.ts";

const CLOCK_BOOTTIME = 7;

export class BootClock {
  readonly #words: Int32Array;
  readonly #address: Address;
  readonly #at: number;

  /** Keeps the 16 bytes at offset `at`, a multiple of 8, for itself: a struct timespec. */
  constructor(arena: Pick<Arena, "buffer" | "base">, at: number) {
    this.#words = new Int32Array(arena.buffer);
    this.#address = arena.base + at;
    this.#at = at / 4;
  }

  /** Hot path. Milliseconds with a fraction. The low words suffice: seconds for 68 years of uptime. */
  now(): number {
    libc.clock_gettime(CLOCK_BOOTTIME, this.#address);
    return this.#words[this.#at] * 1000 + this.#words[this.#at + 2] / 1e6;
  }
}

let clock: BootClock | undefined;

/** The same for threads without an arena of their own. */
export function bootTime(): number {
  clock ??= new BootClock(new Arena({ size: 65_536 }), 0);
  return clock.now();
}
