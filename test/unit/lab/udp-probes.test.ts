import assert from "node:assert/strict";
import { test } from "node:test";
import { summarise } from "../../../src/lab/udp-probes.ts";

test("round trips are summed up by rank, those that are missing counted apart", () => {
  const times = [9, 1, null, 2, 3, 4, 5, 6, 7, 8, 10.04];
  assert.deepEqual(summarise(times), { sent: 11, lost: 1, median: 6, ninetieth: 10, worst: 10 });
  assert.deepEqual(summarise([5]), { sent: 1, lost: 0, median: 5, ninetieth: 5, worst: 5 });
});

test("where nothing came back there is nothing to sum up", () => {
  assert.throws(() => summarise([null, null]), { code: "lab-step-failed" });
});
