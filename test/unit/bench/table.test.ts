import assert from "node:assert/strict";
import { test } from "node:test";
import { type BenchResult, summarise } from "../../../bench/result.ts";
import type { Round, Run } from "../../../bench/rounds.ts";
import { formatTable } from "../../../bench/table.ts";
import type { Workload } from "../../../bench/workload.ts";

const workload: Workload = {
  name: "tcp",
  outside: 4,
  figures: [
    { name: "tcp", unit: "Gbit/s", better: "more", digits: 2, target: { of: "ratio", bound: 1.5 } },
    { name: "ready", unit: "ms", better: "less", digits: 0, target: { of: "value", bound: 250 } },
  ],
  measure: () => Promise.resolve({}),
};

const measured = (tcp: number, ready: number): Run => ({ kind: "measured", values: { tcp, ready } });

function resultOf(names: readonly string[], rounds: readonly Round[]): BenchResult {
  return {
    date: "2026-11-23T00:00:00.000Z",
    machine: { kernel: "6.18.0", architecture: "x64", cpu: "A CPU", cores: 2, node: "v26.10.0", loadAverage: 0.5 },
    settings: { pairs: rounds.length, seconds: 4, isQuick: false, mtu: 1420 },
    contestants: names.map((name) => ({ name, version: "1" })),
    workloads: [summarise(workload, names, rounds)],
  };
}

test("a table for warren alone says so and shows no ratio", () => {
  const table = formatTable(resultOf(["warren"], [{ order: ["warren"], runs: { warren: measured(4.5, 251) } }]));
  assert.match(table, /^warren 1 alone: name others with --against/m);
  assert.match(table, /^tcp +Gbit\/s +4\.50 +at least 1\.5$/m);
  assert.match(table, /^ready +ms +251 +at most 250 ms: missed$/m);
  assert.doesNotMatch(table, /NaN|undefined|ratio {2}/);
});

test("a comparison shows both medians, their ratio with its spread, and whether the target is met", () => {
  const rounds = [
    { order: ["warren", "wireguard-go"], runs: { warren: measured(4, 100), "wireguard-go": measured(2, 20) } },
    { order: ["wireguard-go", "warren"], runs: { warren: measured(6, 120), "wireguard-go": measured(4, 20) } },
  ];
  const table = formatTable(resultOf(["warren", "wireguard-go"], rounds));
  assert.match(table, /^tcp +Gbit\/s +5\.00 +3\.00 +1\.75 \(1\.50 to 2\.00\) +at least 1\.5: met$/m);
  assert.match(table, /^ready +ms +110 +20 +5\.50 \(5\.00 to 6\.00\) +at most 250 ms: met$/m);
});

test("a run that failed is named, and its round has no ratio", () => {
  const failed: Run = { kind: "failed", why: "no packet passed" };
  const rounds = [
    { order: ["warren", "wireguard-go"], runs: { warren: measured(4, 100), "wireguard-go": failed } },
    { order: ["wireguard-go", "warren"], runs: { warren: measured(5, 100), "wireguard-go": measured(2, 20) } },
  ];
  const table = formatTable(resultOf(["warren", "wireguard-go"], rounds));
  assert.match(table, /^failed: tcp, round 1, wireguard-go: no packet passed$/m);
  assert.match(table, /^tcp +Gbit\/s +4\.50 +2\.00 +2\.50 +at least/m);
});
