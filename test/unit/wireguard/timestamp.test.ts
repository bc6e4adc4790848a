import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../../src/base/bytes.ts";
import { isLater, stampAfter } from "../../../src/wireguard/timestamp.ts";

test("the epoch and a known second: TAI64 counts from 2^62 and is ten seconds ahead in 1970", () => {
  assert.equal(toHex(stampAfter(undefined, 0)), "400000000000000a00000000");
  assert.equal(toHex(stampAfter(undefined, 1_000)), "400000000000000b00000000");
  assert.equal(toHex(stampAfter(undefined, (2 ** 32 - 10) * 1_000)), "400000010000000000000000");
});

test("nanoseconds are cut to 2^24, lest they tell too much of our clock", () => {
  assert.equal(toHex(stampAfter(undefined, 16.777_215)), "400000000000000a00000000");
  assert.equal(toHex(stampAfter(undefined, 16.777_217)), "400000000000000a01000000");
  assert.equal(toHex(stampAfter(undefined, 999.999)), "400000000000000a3b000000");
});

test("stamps rise though the clock stands still or is set back, and go on from there", () => {
  let last = stampAfter(undefined, 5_000_000);
  for (const time of [5_000_000, 5_000_000, 4_000_000, 0, ...new Array<number>(200).fill(1)]) {
    const stamp = stampAfter(last, time);
    assert.ok(isLater(stamp, last));
    last = stamp;
  }
  assert.ok(isLater(stampAfter(undefined, 5_004_000), last), "by no more than a step each");
  assert.deepEqual(stampAfter(last, 6_000_000), stampAfter(undefined, 6_000_000));
});

test("later means strictly later", () => {
  const stamp = stampAfter(undefined, 1_000);
  assert.ok(!isLater(stamp, stamp));
  assert.ok(!isLater(stampAfter(undefined, 999), stamp));
});
