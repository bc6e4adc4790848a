import assert from "node:assert/strict";
import { test } from "node:test";
import { percentile, spreadOf, summarise } from "../../../bench/result.ts";
import type { Figure, Target } from "../../../bench/workload.ts";

test("the median is the middle value, or the mean of the two in the middle", () => {
  assert.deepEqual(spreadOf([10, 9, 100]), { median: 10, minimum: 9, maximum: 100 });
  assert.deepEqual(spreadOf([4, 1, 3, 2]), { median: 2.5, minimum: 1, maximum: 4 });
  assert.deepEqual(spreadOf([7]), { median: 7, minimum: 7, maximum: 7 });
});

test("a percentile is the smallest value that so large a share does not exceed", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.equal(percentile(hundred, 0.5), 50);
  assert.equal(percentile(hundred, 0.99), 99);
  assert.equal(percentile(hundred, 1), 100);
  assert.equal(percentile([3], 0.5), 3);
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

function isMet(better: Figure["better"], target: Target, warren: number, other: number): boolean | undefined {
  const figure: Figure = { name: "x", unit: "s", better, digits: 2, target };
  const workload = { name: "w", outside: 4, figures: [figure], measure: () => Promise.resolve({}) } as const;
  const run = (x: number) => ({ kind: "measured", values: { x } }) as const;
  const round = { order: [], runs: { warren: run(warren), "wireguard-go": run(other) } };
  return summarise(workload, ["warren", "wireguard-go"], [round]).figures[0].isMet;
}

test("a target is a bound below or above, of the ratio to wireguard-go or of warren's own value", () => {
  assert.equal(isMet("more", { of: "ratio", bound: 1.5 }, 3, 2), true);
  assert.equal(isMet("more", { of: "ratio", bound: 1.5 }, 2.9, 2), false);
  assert.equal(isMet("less", { of: "ratio", bound: 1, tolerance: 0.05 }, 1.04, 1), true);
  assert.equal(isMet("less", { of: "ratio", bound: 1, tolerance: 0.05 }, 1.06, 1), false);
  assert.equal(isMet("less", { of: "value", bound: 250 }, 200, 1), true);
  assert.equal(isMet("less", { of: "value", bound: 250 }, 300, 1000), false);
});

test("a ratio to another than wireguard-go meets no target", () => {
  const figure: Figure = { name: "x", unit: "s", better: "more", digits: 2, target: { of: "ratio", bound: 1 } };
  const workload = { name: "w", outside: 4, figures: [figure], measure: () => Promise.resolve({}) } as const;
  const run = { kind: "measured", values: { x: 2 } } as const;
  const [found] = summarise(
    workload,
    ["warren", "openvpn"],
    [{ order: [], runs: { warren: run, openvpn: run } }],
  ).figures;
  assert.equal(found.ratios.openvpn.median, 1);
  assert.equal(found.isMet, undefined);
});
