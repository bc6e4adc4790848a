/**
 * Responses to be made, between main and the threads that make them: slots in shared memory, filled in turn.
 *
 * Main fills the next slot and counts it as posted. Any thread claims the oldest unclaimed one by moving the claim count
 * on, does the work in the slot, and marks it done. Main takes results back in the order in which it posted. So each slot
 * has one owner at a time: main, then whoever claimed it, then main again. Whoever is done with a secret overwrites it.
 *
 *     words     posted, claimed, stop: each on a cache line of its own
 *     slots     see `Slot`
 */

const postedWord = 0;
const claimedWord = 16;
const stopWord = 32;
const slotsAt = 256;
/** A power of two, so that the counts may turn over. */
export const slotCount = 128;

/** A slot, as byte offsets. */
export const Slot = {
  size: 512,
  /** Word: 1 when the work is done, 2 when it cannot be. */
  state: 0,
  /** Words: the initiator's index, which the initiation bears, and ours. */
  localIndex: 4,
  /** The initiation up to the end of its ephemeral point. */
  initiation: 8,
  initiationLength: 40,
  publicKey: 48,
  presharedKey: 80,
  ephemeral: 112,
  /** The chaining key and the hash. */
  symmetricState: 144,
  /** From here on the result: the response, then the two keys. */
  response: 256,
  sendKey: 352,
  receiveKey: 384,
} as const;

export const SlotState = { waiting: 0, done: 1, failed: 2 } as const;

export const handshakeSlotsSize: number = 2 * 65_536;

export class HandshakeSlots {
  readonly bytes: Uint8Array;
  readonly #words: Int32Array;
  #taken = 0;

  constructor(buffer: ArrayBuffer | SharedArrayBuffer) {
    this.bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
  }

  /** How many were ever posted, modulo 2^32. */
  get posted(): number {
    return Atomics.load(this.#words, postedWord);
  }

  /** Main: how many are posted and not taken back. */
  get waiting(): number {
    return (Atomics.load(this.#words, postedWord) - this.#taken) | 0;
  }

  /** Main: the offset of the slot to fill, before `post`; -1 if all are in use. */
  free(): number {
    return this.waiting === slotCount ? -1 : offsetOf(Atomics.load(this.#words, postedWord));
  }

  post(): void {
    const posted = Atomics.load(this.#words, postedWord);
    Atomics.store(this.#words, (offsetOf(posted) + Slot.state) >> 2, SlotState.waiting);
    Atomics.store(this.#words, postedWord, (posted + 1) | 0);
    Atomics.notify(this.#words, postedWord, 1);
  }

  /** Main: the offset of the oldest slot if its work is over, else -1. Then `take`. */
  oldest(): number {
    const slot = offsetOf(this.#taken);
    const isOver = this.waiting > 0 && this.state(slot) !== SlotState.waiting;
    return isOver ? slot : -1;
  }

  take(): void {
    this.#taken = (this.#taken + 1) | 0;
  }

  state(slot: number): number {
    return Atomics.load(this.#words, (slot + Slot.state) >> 2);
  }

  /** Main: the threads are to end. */
  stop(): void {
    Atomics.store(this.#words, stopWord, 1);
    Atomics.notify(this.#words, postedWord);
  }

  /** A thread: waits for work and returns its slot's offset, -1 for the end. */
  claim(): number {
    for (;;) {
      const posted = Atomics.load(this.#words, postedWord);
      if (Atomics.load(this.#words, stopWord) === 1) return -1;
      const claimed = Atomics.load(this.#words, claimedWord);
      if (claimed === posted) Atomics.wait(this.#words, postedWord, posted);
      else if (Atomics.compareExchange(this.#words, claimedWord, claimed, (claimed + 1) | 0) === claimed) {
        return offsetOf(claimed);
      }
    }
  }

  /** A thread: hands the slot back. */
  finish(slot: number, state: number): void {
    Atomics.store(this.#words, (slot + Slot.state) >> 2, state);
  }
}

function offsetOf(count: number): number {
  return slotsAt + (count & (slotCount - 1)) * Slot.size;
}
