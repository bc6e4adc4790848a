/**
 * How many of a peer's messages arrive: it numbers them, and the replay window remembers which were seen, so that what is
 * lost on the way to us can be counted without a word from the peer and at no cost to the packet path.
 */
import { replayWindowSize, wasSeen } from "../wireguard/replay-window.ts";
import { KeypairRecord, PeerRecord, type SharedMemory } from "./shared-memory.ts";

export interface Arrivals {
  readonly arrived: number;
  readonly missing: number;
}

/** Messages this near to the greatest may only be late. */
const reordering = 64;
const none: Arrivals = { arrived: 0, missing: 0 };

export class ArrivalGauge {
  readonly #memory: SharedMemory;
  readonly #peer: number;
  #keypair = 0;
  #counted = 0;

  constructor(memory: SharedMemory, peerId: number) {
    this.#memory = memory;
    this.#peer = memory.peer(peerId);
  }

  /** What came since the last call, of the keypair in use. Counters that are too far behind are left out. */
  take(): Arrivals {
    const { words } = this.#memory;
    const slot = Atomics.load(words, (this.#peer + PeerRecord.sendingKeypair) >> 2);
    if (slot === 0) return none;
    const window = (this.#memory.keypair(slot - 1) + KeypairRecord.replayWindow) >> 2;
    const greatest = (words[window + 1] >>> 0) * 0x1_0000_0000 + (words[window] >>> 0);
    const end = greatest - reordering;
    if (slot !== this.#keypair || end < this.#counted) {
      this.#keypair = slot;
      this.#counted = Math.max(0, end);
      return none;
    }
    let arrived = 0;
    const from = Math.max(this.#counted, greatest - replayWindowSize + 2 * reordering);
    for (let counter = from; counter < end; counter++) if (wasSeen(words, window, counter)) arrived++;
    this.#counted = end;
    return { arrived, missing: Math.max(0, end - from) - arrived };
  }
}
