import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../../src/base/bytes.ts";
import { guard, makeKernels } from "../../reference/kernels.ts";

const kernels = makeKernels(1);
const bytes = kernels.bytes;

test("poly1305Tail pads to 16 from the start of the text and appends the lengths", () => {
  for (const offset of [64, 67]) {
    for (let length = 0; length <= 49; length++) {
      bytes.fill(guard, 0, 256);
      kernels.poly1305Tail(offset, length);
      const padded = Math.ceil(length / 16) * 16;
      const expected = new Uint8Array(256).fill(guard);
      expected.fill(0, offset + length, offset + padded + 16);
      expected[offset + padded + 8] = length;
      assert.deepEqual(bytes.slice(0, 256), expected, `${length} bytes at ${offset}`);
    }
  }
});

test("poly1305Tail writes a length of more than one byte in little-endian order", () => {
  kernels.poly1305Tail(32, 1424);
  assert.equal(toHex(bytes.slice(32 + 1424, 32 + 1440)), "00000000000000009005000000000000");
});

test("tagsEqual sees every bit of both tags and nothing beside them", () => {
  for (const [a, b] of [
    [1_000, 2_000],
    [1_003, 2_009],
  ]) {
    bytes.fill(guard, 900, 2_100);
    bytes[a - 1] = bytes[a + 16] = 1;
    assert.equal(kernels.tagsEqual(a, b), 1);
    for (let bit = 0; bit < 128; bit++) {
      bytes[a + (bit >> 3)] ^= 1 << (bit & 7);
      assert.equal(kernels.tagsEqual(a, b), 0, `bit ${bit}`);
      assert.equal(kernels.tagsEqual(b, a), 0, `bit ${bit}`);
      bytes[a + (bit >> 3)] ^= 1 << (bit & 7);
    }
  }
});

test("zero and copy touch their range alone, at every length to 100", () => {
  for (let length = 0; length <= 100; length++) {
    bytes.fill(guard, 0, 1_000);
    for (let i = 0; i < length; i++) bytes[500 + i] = i + 1;
    const expected = bytes.slice(0, 1_000);
    expected.copyWithin(101, 500, 500 + length);
    kernels.copy(101, 500, length);
    assert.deepEqual(bytes.slice(0, 1_000), expected, `copy ${length}`);
    expected.fill(0, 101, 101 + length);
    kernels.zero(101, length);
    assert.deepEqual(bytes.slice(0, 1_000), expected, `zero ${length}`);
  }
});
