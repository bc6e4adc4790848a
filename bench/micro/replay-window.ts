/** The replay window: counters in order, as nearly all are, and each pair of them the wrong way round. */
import { bench, do_not_optimize, group } from "mitata";
import { acceptCounter, replayWindowWords } from "../../src/wireguard/replay-window.ts";

export function measureReplayWindow(): void {
  group("replay window", () => {
    const ordered = new Int32Array(replayWindowWords);
    let next = 0;
    bench("in order", () => do_not_optimize(acceptCounter(ordered, 0, next++)));
    const swapped = new Int32Array(replayWindowWords);
    let turn = 0;
    bench("in swapped pairs", () => do_not_optimize(acceptCounter(swapped, 0, turn++ ^ 1)));
  });
}
