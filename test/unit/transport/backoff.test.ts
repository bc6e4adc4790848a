import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../../src/transport/backoff.ts";

test("waits double from one second to thirty, and begin anew once it worked", () => {
  const backoff = new Backoff();
  const waits = Array.from({ length: 7 }, () => backoff.next(0));
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  backoff.reset();
  assert.equal(backoff.next(0), 1000);
});

test("chance cuts up to a quarter off", () => {
  assert.equal(new Backoff().next(0.5), 875);
});
