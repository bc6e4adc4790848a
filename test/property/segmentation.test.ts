import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../../src/base/bytes.ts";
import { Coalescer } from "../../src/packet/coalescing.ts";
import { Segmenter } from "../../src/packet/segmentation.ts";
import { guard, makeKernels } from "../reference/kernels.ts";
import { makePacket, superPacketHeader } from "../reference/packets.ts";
import { slowSegment } from "../reference/segmentation.ts";
import { gsoSizes, noise, packetFields, payloads } from "./super-packets.ts";

const kernels = makeKernels(6);
const bytes = kernels.bytes;
const kinds = { tcp4: true, tcp6: true, udp: true };
const largest = 1500;
const segmenter = new Segmenter(kernels, { ...kinds, largest });

const source = 1_003;
const held = 70_001;
const slots = 150_000;

test("segmentation equals its slow twin, pads with zeros, and touches nothing else", () => {
  const draw = fc.tuple(packetFields(payloads()), gsoSizes, fc.nat(17), fc.nat(40), fc.integer({ min: 1, max: 70 }));
  fc.assert(
    fc.property(draw, ([fields, size, offset, extra, limit]) => {
      // One byte a packet is checked on short payloads only: it says nothing more on long ones, and takes long.
      const payload = fields.payload.subarray(0, size * 150);
      const packet = makePacket({ ...fields, payload });
      const expected = slowSegment(packet, size);
      const read = concatBytes(superPacketHeader(fields, size), packet);
      bytes.set(read, source + offset);
      assert.equal(segmenter.begin(source + offset, read.length), undefined);
      assert.equal(segmenter.count, expected.length);
      assert.equal(segmenter.packetLength, expected[0].length);
      assert.equal(segmenter.lastLength, expected.at(-1)?.length);

      const stride = 1504 + extra;
      const to = slots + offset;
      const cut: Uint8Array[] = [];
      for (;;) {
        bytes.fill(guard, to - 64, to + limit * stride + 64);
        const count = segmenter.next(to, stride, limit);
        if (count === 0) break;
        const wanted = new Uint8Array(limit * stride + 128).fill(guard);
        for (let i = 0; i < count; i++) {
          const packet = expected[cut.length];
          const slot = 64 + i * stride;
          wanted.fill(0, slot, slot + Math.ceil(packet.length / 16) * 16);
          wanted.set(packet, slot);
          cut.push(packet);
        }
        assertSame(bytes.subarray(to - 64, to + limit * stride + 64), wanted);
      }
      assert.equal(cut.length, expected.length);
      assertSame(bytes.subarray(source + offset, source + offset + read.length), read);
    }),
    { numRuns: 250 },
  );
});

test("what segmentation takes apart, coalescing puts back together", () => {
  const coalescer = new Coalescer(kernels, held, kinds);
  const draw = fc.tuple(
    packetFields(fc.constant(new Uint8Array())),
    gsoSizes,
    fc.nat(0xffff),
    fc.constantFrom(0, 8, 9),
  );
  fc.assert(
    fc.property(draw, ([drawn, size, seed, endFlags]) => {
      const most = Math.floor(64_000 / size) * size;
      const length = size + 1 + (seed % Math.min(most - size, 63 * size, 64_000));
      const fields = { ...drawn, payload: noise(length, seed), flags: 0x10 | (drawn.flags & 0x40) | endFlags };
      const read = concatBytes(superPacketHeader(fields, size), makePacket(fields));
      bytes.set(read, source);
      assert.equal(segmenter.begin(source, read.length), undefined);
      for (let i = 1; segmenter.next(slots, 1504, 1) === 1; i++) {
        const isLast = i === segmenter.count;
        assert.equal(coalescer.add(slots, isLast ? segmenter.lastLength : segmenter.packetLength), true);
      }
      assert.equal(coalescer.finish(), read.length);
      assertSame(bytes.subarray(held - 10, held - 10 + read.length), read);
      assert.equal(coalescer.finish(), 0);
    }),
    { numRuns: 250 },
  );
});

test("hostile virtio headers and packets never throw, and never make a write outside the slots", () => {
  const change = fc.record({ at: fc.nat(90), value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0xff)) });
  const draw = fc.tuple(
    packetFields(fc.nat(3000).map((length) => noise(length, length))),
    gsoSizes,
    fc.array(change, { minLength: 1, maxLength: 8 }),
    fc.option(fc.nat(3100)),
    fc.integer({ min: 1, max: 5 }),
  );
  let accepted = 0;
  let refused = 0;
  fc.assert(
    fc.property(draw, ([fields, size, changes, cutTo, limit]) => {
      const read = concatBytes(superPacketHeader(fields, size), makePacket(fields));
      for (const { at, value } of changes) if (at < read.length) read[at] = value;
      const length = cutTo === null ? read.length : Math.min(cutTo, read.length);
      bytes.fill(guard, source - 64, slots + 12_000);
      bytes.set(read, source);
      const reason = segmenter.begin(source, length);
      if (reason === undefined) accepted++;
      else refused++;
      const written = segmenter.next(slots, 1504, limit);
      assert.ok(written <= limit && (reason === undefined || written === 0));
      assert.ok(segmenter.remaining === 0 || segmenter.packetLength <= largest);
      assertGuarded(source - 64, source);
      assertSame(bytes.subarray(source, source + read.length), read);
      assertGuarded(source + read.length, slots);
      assertGuarded(slots + written * 1504, slots + 12_000);
    }),
    { numRuns: 1000 },
  );
  assert.ok(accepted > 50 && refused > 50, `${accepted} accepted, ${refused} refused`);
});

test("random bytes are refused or cut, never an exception", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(4, 6), (read, version) => {
      if (read.length > 10) read[10] = (version << 4) | (read[10] & 15);
      bytes.set(read, source);
      bytes.fill(guard, slots, slots + 12_000);
      segmenter.begin(source, read.length);
      const written = segmenter.next(slots, 1504, 4);
      assertGuarded(slots + written * 1504, slots + 12_000);
    }),
    { numRuns: 1000 },
  );
});

/** Faster than `deepEqual` where it matters, and as telling. */
function assertSame(actual: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(actual, expected) !== 0) assert.deepEqual(actual, expected);
}

const untouched = new Uint8Array(bytes.length).fill(guard);

function assertGuarded(from: number, to: number): void {
  const isUntouched = Buffer.compare(bytes.subarray(from, to), untouched.subarray(from, to)) === 0;
  assert.ok(isUntouched, `written between ${from} and ${to}`);
}
