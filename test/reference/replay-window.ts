/** What RFC 6479 §3 asks for, without a ring: every counter ever accepted, and the greatest. */
import { replayWindowSize } from "../../src/wireguard/replay-window.ts";

export class SlowReplayWindow {
  readonly #seen = new Set<number>();
  #greatest = 0;

  accept(counter: number): boolean {
    if (this.#greatest - counter > replayWindowSize || this.#seen.has(counter)) return false;
    this.#seen.add(counter);
    this.#greatest = Math.max(this.#greatest, counter);
    return true;
  }
}
