import assert from "node:assert/strict";
import { test } from "node:test";
import { search, type UdpRun } from "../../../bench/workloads/udp.ts";

/** A path that carries so many a second and drops the rest, with a sender that can send no more than its own limit. */
function path(capacity: number, senderLimit = Number.POSITIVE_INFINITY) {
  const rates: number[] = [];
  const run = (rate: number): Promise<UdpRun> => {
    rates.push(rate);
    const offered = Math.min(rate, senderLimit);
    const delivered = Math.min(offered, capacity);
    return Promise.resolve({ offered, delivered, loss: 1 - delivered / offered });
  };
  return { run, rates };
}

for (const [what, start] of [
  ["below", 20_000],
  ["above", 400_000],
  ["at", 100_000],
] as const) {
  test(`finds what a path carries, started ${what} it`, async () => {
    const { run, rates } = path(100_000);
    const found = await search(start, 3, run);
    assert.ok(found <= 100_100 && found > 93_000, `${found}`);
    assert.ok(rates.length <= 16, `${rates.length} trials`);
  });
}

test("ends where the sender can send no more", async () => {
  const { run, rates } = path(1_000_000, 50_000);
  assert.equal(await search(40_000, 3, run), 50_000);
  assert.ok(rates.length <= 4);
});

test("ends where nothing arrives at all", async () => {
  const { run, rates } = path(0);
  assert.equal(await search(50_000, 3, run), 0);
  assert.ok(rates.length <= 16);
});

test("a rate that is lost once by chance gets a second chance", async () => {
  const { run } = path(100_000);
  let first = true;
  const unlucky = async (rate: number): Promise<UdpRun> => {
    const result = await run(rate);
    const loss = first ? 0.5 : result.loss;
    first = false;
    return { ...result, loss };
  };
  assert.ok((await search(90_000, 3, unlucky)) > 96_000);
});
