import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { largestDatagram } from "../../../src/transport/datagram-link.ts";
import { Frame, FrameReader, writeFrame } from "../../../src/transport/framing.ts";

/** Everything a reader finds in these chunks, and whether the stream kept its meaning. */
function readAll(chunks: readonly Uint8Array[]): { datagrams: number[][]; isSound: boolean } {
  const reader = new FrameReader();
  const datagrams: number[][] = [];
  const isSound = chunks.every((chunk) => reader.read(chunk, (datagram) => datagrams.push([...datagram])));
  return { datagrams, isSound };
}

test("a frame is the length in two bytes, high one first, and the datagram", () => {
  const bytes = new Uint8Array(9).fill(0xa5);
  assert.equal(writeFrame(Uint8Array.of(1, 2, 3), bytes, 2), 7);
  assert.deepEqual([...bytes], [0xa5, 0xa5, 0, 3, 1, 2, 3, 0xa5, 0xa5]);
  const long = new Uint8Array(2 + 0x1234);
  writeFrame(new Uint8Array(0x1234), long, 0);
  assert.deepEqual([...long.subarray(0, 2)], [0x12, 0x34]);
});

test("datagrams are found however the stream is cut", () => {
  const datagram = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: 500, max: 3000 }).map((length) => Uint8Array.from({ length }, (_, i) => i)),
  );
  const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4000 })), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(datagram, { maxLength: 8 }), cuts, (datagrams, lengths) => {
      const stream = new Uint8Array(datagrams.reduce((sum, { length }) => sum + Frame.overhead + length, 0));
      let at = 0;
      for (const each of datagrams) at = writeFrame(each, stream, at);
      const chunks: Uint8Array[] = [];
      for (let from = 0, i = 0; from < stream.length; i++) {
        const length = lengths[i % lengths.length];
        chunks.push(stream.slice(from, from + length));
        from += length;
      }
      const expected = datagrams.filter(({ length }) => length > 0).map((each) => [...each]);
      assert.deepEqual(readAll(chunks), { datagrams: expected, isSound: true });
    }),
    { numRuns: 300 },
  );
});

test("a length that no datagram has ends the stream, in one piece or byte by byte", () => {
  const bytes = Uint8Array.of(0, 1, 7, 0xff, 0xe4, 1, 2, 3); // 65,508
  assert.deepEqual(readAll([bytes]), { datagrams: [[7]], isSound: false });
  assert.deepEqual(readAll([...bytes].map((byte) => Uint8Array.of(byte))), { datagrams: [[7]], isSound: false });
  assert.deepEqual(readAll([Uint8Array.of(0xff, 0xe3)]), { datagrams: [], isSound: true });
});

test("what is kept grows with what has come, not with what was claimed", () => {
  const reader = new FrameReader();
  const { arrayBuffers: before } = process.memoryUsage();
  const readers = Array.from({ length: 2000 }, () => new FrameReader());
  for (const each of readers) each.read(Uint8Array.of(largestDatagram >> 8, largestDatagram & 255, 1), () => {});
  const { arrayBuffers: after } = process.memoryUsage();
  assert.ok(after - before < 2000 * 1024, `${after - before} bytes for 2,000 frames of 3 bytes each`);
  assert.ok(readers.every(({ isInside }) => isInside));
  assert.equal(reader.isInside, false);
});
