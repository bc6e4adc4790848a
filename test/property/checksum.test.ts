import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { onesComplementSum } from "../../src/packet/checksum.ts";
import { slowSum } from "../reference/checksum.ts";
import { guard, makeKernels } from "../reference/kernels.ts";

const kernels = makeKernels(12);
const bytes = kernels.bytes;

/** The kernels' little-endian sum as the big-endian one of the twin. */
function swap(sum: number): number {
  return ((sum & 255) << 8) | (sum >> 8);
}

test("sum, copySum and onesComplementSum equal their slow twin at every length and alignment", () => {
  const content = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 3000, size: "max" }));
  fc.assert(
    fc.property(content, fc.nat(40), fc.nat(40), fc.nat(0xffff), (content, from, to, initial) => {
      const target = 100_000 + to;
      bytes.set(content, from);
      bytes.fill(guard, target - 32, target + content.length + 32);
      const expected = slowSum(content, initial);
      assert.equal(onesComplementSum(content, initial), expected);
      assert.equal(swap(kernels.sum(from, content.length, swap(initial))), expected);
      assert.equal(swap(kernels.copySum(target, from, content.length, swap(initial))), expected);
      assert.deepEqual(bytes.slice(target, target + content.length), content);
      assert.ok(bytes.subarray(target - 32, target).every((byte) => byte === guard));
      assert.ok(bytes.subarray(target + content.length, target + content.length + 32).every((byte) => byte === guard));
    }),
    { numRuns: 500 },
  );
});

test("a sum that must be folded three times", () => {
  bytes.set([0, 0, 1, 0], 8);
  assert.equal(kernels.sum(8, 4, 0xffff_ffff), 1);
});

test("no lane overflows in a long run of 0xff", () => {
  const content = new Uint8Array(524_288).fill(0xff);
  bytes.set(content, 3);
  for (const length of [65_535, 65_536, 131_073, 524_287, 524_288]) {
    const expected = slowSum(content.subarray(0, length), 0xffff);
    assert.equal(swap(kernels.sum(3, length, 0xffff)), expected, `${length} bytes`);
  }
});
