import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptCounter, replayWindowSize, replayWindowWords } from "../../../src/wireguard/replay-window.ts";

const guard = 0x5a5a_5a5a;

function makeWindow() {
  const at = 3;
  const words = new Int32Array(at + replayWindowWords + 3).fill(guard);
  words.fill(0, at, at + replayWindowWords);
  return {
    accept: (counter: number) => acceptCounter(words, at, counter),
    isIntact: () => [...words.subarray(0, at), ...words.subarray(at + replayWindowWords)].every((w) => w === guard),
  };
}

test("each counter once, in order or not, from 0 on", () => {
  const window = makeWindow();
  for (const counter of [0, 1, 2, 9, 8, 7, 100, 99]) assert.ok(window.accept(counter), `${counter}`);
  for (const counter of [0, 1, 2, 9, 8, 7, 100, 99]) assert.ok(!window.accept(counter), `${counter} again`);
  assert.ok(window.accept(3));
  assert.ok(window.isIntact());
});

test("the window's edge: as far behind as its size, and not one further", () => {
  const window = makeWindow();
  assert.equal(replayWindowSize, 8_192 - 32);
  const greatest = 1_000_000;
  assert.ok(window.accept(greatest));
  assert.ok(window.accept(greatest - replayWindowSize));
  assert.ok(!window.accept(greatest - replayWindowSize));
  assert.ok(!window.accept(greatest - replayWindowSize - 1));
  assert.ok(window.isIntact());
});

test("a leap clears what lies between, also one of many rounds of the ring", () => {
  const window = makeWindow();
  for (let counter = 0; counter < 10_000; counter++) assert.ok(window.accept(counter));
  for (const leap of [18_191, 18_192, 1_000_000, 2 ** 32, 2 ** 40 + 1, 2 ** 53 - 1]) {
    assert.ok(window.accept(leap), `${leap}`);
    assert.ok(!window.accept(leap), `${leap} again`);
    assert.ok(window.accept(leap - 5_000), `${leap} - 5000`);
    assert.ok(!window.accept(5_000));
  }
  assert.ok(window.isIntact());
});

test("counters around 2^31 and 2^32, where 32-bit arithmetic turns over", () => {
  const window = makeWindow();
  for (const turn of [2 ** 31, 2 ** 32, 2 ** 33, 2 ** 52]) {
    for (let counter = turn - 100; counter < turn + 100; counter++) assert.ok(window.accept(counter), `${counter}`);
    for (let counter = turn - 100; counter < turn + 100; counter++) assert.ok(!window.accept(counter), `${counter}`);
  }
});
