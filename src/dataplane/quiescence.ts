/**
 * When nobody looks any more: how main takes memory back from workers that read it without locks.
 *
 * A worker enters the current epoch when it begins a batch and parks when it goes to sleep. Main withdraws what it
 * wants back (clears the pointer that leads to it), then begins a new epoch. Once every worker has entered that epoch
 * or is parked, none can still hold what was withdrawn, and it may be erased and reused. This is the idea of read-copy-
 * update (kernel Documentation/RCU/whatisRCU.rst) for a few readers.
 *
 * All accesses are Atomics, hence sequentially consistent: a worker that enters publishes its epoch before it follows
 * any pointer, and main clears the pointer before it reads the worker's epoch, so one of them sees the other.
 */
import { Control, type Direction, maximumWorkers, type SharedMemory, threadRow } from "./shared-memory.ts";

/** A parked worker holds nothing. Real epochs are positive. */
const parked = 0;

/** A worker's side. Hot path: one atomic store at each end of a batch. */
export class Reader {
  readonly #words: Int32Array;
  readonly #own: number;

  constructor(memory: SharedMemory, direction: Direction, number = 0) {
    this.#words = memory.words;
    this.#own = epochOf(direction, number);
  }

  enter(): void {
    Atomics.store(this.#words, this.#own, Atomics.load(this.#words, Control.epoch) + 1);
  }

  park(): void {
    Atomics.store(this.#words, this.#own, parked);
  }
}

interface Retired {
  readonly epoch: number;
  readonly release: () => void;
}

/** Main's side. */
export class Reclaimer {
  readonly #words: Int32Array;
  readonly #retired: Retired[] = [];

  constructor(memory: SharedMemory) {
    this.#words = memory.words;
  }

  /** Calls `release` once no worker can hold what was withdrawn before this call. Call `collect` from time to time. */
  retire(release: () => void): void {
    const epoch = Atomics.add(this.#words, Control.epoch, 1) + 2;
    this.#retired.push({ epoch, release });
    this.collect();
  }

  /** Releases what has come free; returns how much is still waiting. */
  collect(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (let number = 0; number < maximumWorkers; number++) {
      for (const direction of ["outbound", "inbound"] as const) {
        const epoch = Atomics.load(this.#words, epochOf(direction, number));
        if (epoch !== parked && epoch < oldest) oldest = epoch;
      }
    }
    while (this.#retired.length > 0 && this.#retired[0].epoch <= oldest) this.#retired.shift()?.release();
    return this.#retired.length;
  }

  /** Releases everything: the workers have ended. */
  collectAll(): void {
    for (const { release } of this.#retired.splice(0)) release();
  }
}

/** The word of a worker's epoch. */
function epochOf(direction: Direction, number: number): number {
  return Control.epochs + 16 * (threadRow(direction, number) - 1);
}
