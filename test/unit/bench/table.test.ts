import assert from "node:assert/strict";
import { test } from "node:test";
import type { Run } from "../../../bench/comparison.ts";
import { type BenchResult, formatTable, spreadOf } from "../../../bench/table.ts";

test("the median is the middle value, or the mean of the two in the middle", () => {
  assert.deepEqual(spreadOf([10, 9, 100]), { median: 10, minimum: 9, maximum: 100 });
  assert.deepEqual(spreadOf([4, 1, 3, 2]), { median: 2.5, minimum: 1, maximum: 4 });
  assert.deepEqual(spreadOf([7]), { median: 7, minimum: 7, maximum: 7 });
});

function run(gigabits: number, medianMs: number): Run {
  return {
    bitsPerSecond: gigabits * 1e9,
    iperf3: {},
    roundTrips: { sent: 100, received: 100, minimumMs: 0.1, medianMs, averageMs: 0.5, p99Ms: 2 },
    readyMs: [100, 120],
    residentBytes: [90e6, 105.2e6],
  };
}

const alone: BenchResult = {
  date: "2026-11-23T00:00:00.000Z",
  machine: { kernel: "6.18.0", architecture: "x64", cpu: "A CPU", cores: 2, node: "v26.10.0", loadAverage: 0.5 },
  settings: { pairs: 1, seconds: 4, streams: 1, mtu: 1420 },
  against: null,
  pairs: [{ order: "AB", warren: run(4.5, 0.61), classic: run(1.5, 0.2), classicRatio: 1 / 3 }],
  ratio: null,
  classicRatio: { median: 0.33, minimum: 0.3, maximum: 0.4 },
  allocation: {
    outbound: { packets: 100, bytes: 25, bytesPerPacket: 0.25 },
    inbound: { packets: 100, bytes: 50, bytesPerPacket: 0.5 },
  },
  slowestReadyMs: 120,
  largestResidentBytes: 105.2e6,
};

test("a table for warren alone says so and shows no ratio", () => {
  const table = formatTable(alone);
  assert.match(table, /^warren alone: give --against/m);
  assert.match(table, /^1 AB +4\.50 +1\.50 +0\.33 +0\.61$/m);
  assert.match(table, /^classic +0\.33 of the tunnel \(0\.30 to 0\.40\)$/m);
  assert.match(table, /^allocation +0\.25 bytes a packet outbound, 0\.50 bytes a packet inbound/m);
  assert.match(table, /^resident +106 MB/m);
  assert.doesNotMatch(table, /median ratio|NaN|undefined/);
});

test("a comparison shows both figures, their ratio and the spread", () => {
  const table = formatTable({
    ...alone,
    against: { name: "wireguard-go", version: "0.0.20250522" },
    pairs: [{ ...alone.pairs[0], order: "BA", yardstick: run(3, 0.38), ratio: 1.5 }],
    ratio: { median: 1.5, minimum: 1.4, maximum: 1.6 },
  });
  assert.match(table, /^against wireguard-go 0\.0\.20250522$/m);
  assert.match(table, /^1 BA +4\.50 +3\.00 +1\.50 +1\.50 +0\.33 +0\.61 +0\.38$/m);
  assert.match(table, /^median ratio +1\.50 \(1\.40 to 1\.60\)$/m);
});

test("another checkout of warren is named by its commit", () => {
  const table = formatTable({
    ...alone,
    against: { name: "warren", version: "cf9ab4e, changed" },
    pairs: [{ ...alone.pairs[0], yardstick: run(4.5, 0.6), ratio: 1 }],
    ratio: { median: 1, minimum: 0.98, maximum: 1.02 },
  });
  assert.match(table, /^against warren cf9ab4e, changed$/m);
  assert.match(table, /^pair .* other Gbit\/s /m);
});
