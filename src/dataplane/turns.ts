/**
 * How several workers share one direction of the packet path: leader and followers, with tickets.
 *
 * One worker at a time is the leader, who alone reads. It takes a ticket, reads a batch, does what must be done in the
 * order of reading (numbers for the nonces, above all), and passes the lead on. Then comes the costly part, sealing or
 * opening, in which all work side by side. What must be in order again waits for the ticket's turn: sending, or the replay
 * window and writing. So a single flow may use every core, and its packets stay in order by construction; each nonce is
 * given out once, and each window has one writer at a time.
 *
 *     word 0    whether there is a leader
 *     word 1    the gate: changes whenever followers are to look again
 *     word 2    followers that sleep at the gate
 *     word 3    the next ticket; the leader's
 *     word 16   the ticket whose turn it is
 *     word 17   workers that sleep until it changes
 *
 * All these are read and written by Atomics, hence in one order that all threads see, and what a thread wrote before it
 * passed the lead or its turn is seen by the one who got it. Nobody sleeps uncalled: a sleeper counts itself before it
 * looks for the last time, and whoever changes what it looks at looks for sleepers afterwards.
 *
 * A leader passes the lead without a call when nothing more waits: it comes back for it. So a lone packet wakes nobody.
 */
import { Control, type Direction, type SharedMemory } from "./shared-memory.ts";

const leader = 0;
const gate = 1;
const followers = 2;
const nextTicket = 3;
const turn = 16;
const waiting = 17;
const size = 32;

/** One worker's view. Hot path: a few atomic accesses a batch. */
export class Turns {
  readonly #words: Int32Array;
  readonly #at: number;
  #ticket = 0;
  #leads = false;
  #hasTurn = false;

  constructor(memory: SharedMemory, direction: Direction) {
    this.#words = memory.words;
    this.#at = firstWord(direction);
  }

  /** Waits to be the leader, and takes a ticket. False when told to end. Harmless where one leads already. */
  lead(): boolean {
    if (this.#leads) return !this.#isStopped;
    const words = this.#words;
    const at = this.#at;
    for (;;) {
      if (this.#isStopped) return false;
      const seen = Atomics.load(words, at + gate);
      if (Atomics.compareExchange(words, at + leader, 0, 1) === 0) break;
      Atomics.add(words, at + followers, 1);
      // Passed on meanwhile, or told to end: both happen before the gate changes, or before the count is looked at.
      const isLed = Atomics.load(words, at + leader) === 1 && !this.#isStopped;
      if (isLed) Atomics.wait(words, at + gate, seen);
      Atomics.sub(words, at + followers, 1);
    }
    this.#leads = true;
    this.#ticket = Atomics.add(words, at + nextTicket, 1);
    return true;
  }

  /** Lets another lead; `more` says that there is something to read, so that a follower is woken for it. */
  pass(more: boolean): void {
    const words = this.#words;
    const at = this.#at;
    this.#leads = false;
    Atomics.store(words, at + leader, 0);
    if (!more || Atomics.load(words, at + followers) === 0) return;
    Atomics.add(words, at + gate, 1);
    Atomics.notify(words, at + gate, 1);
  }

  /** Waits for the turn of the ticket that `lead` took. False when told to end. Harmless where it has come already. */
  take(): boolean {
    const words = this.#words;
    const at = this.#at;
    while (!this.#hasTurn) {
      if (this.#isStopped) return false;
      const current = Atomics.load(words, at + turn);
      if (current === this.#ticket) {
        this.#hasTurn = true;
        break;
      }
      Atomics.add(words, at + waiting, 1);
      Atomics.wait(words, at + turn, current);
      Atomics.sub(words, at + waiting, 1);
    }
    return !this.#isStopped;
  }

  /** Ends the turn: the next ticket's begins. */
  finish(): void {
    const words = this.#words;
    const at = this.#at;
    this.#hasTurn = false;
    Atomics.store(words, at + turn, (this.#ticket + 1) | 0);
    if (Atomics.load(words, at + waiting) > 0) Atomics.notify(words, at + turn);
  }

  get #isStopped(): boolean {
    return Atomics.load(this.#words, Control.stop) === 1;
  }
}

/** Main: wakes every worker that sleeps for the lead or its turn, once `Control.stop` is set. */
export function callAll(memory: SharedMemory): void {
  const { words } = memory;
  for (const direction of ["outbound", "inbound"] as const) {
    const at = firstWord(direction);
    Atomics.add(words, at + gate, 1);
    Atomics.notify(words, at + gate);
    // No ticket's turn, so that a worker about to wait finds that it has changed. Whoever ends a turn may overwrite it,
    // with a change as well.
    Atomics.store(words, at + turn, -1);
    Atomics.notify(words, at + turn);
  }
}

function firstWord(direction: Direction): number {
  return Control.turns + (direction === "outbound" ? 0 : size);
}
