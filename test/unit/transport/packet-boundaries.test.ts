import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../../../src/base/bytes.ts";
import { largestPacket, PacketBoundaries } from "../../../src/transport/packet-boundaries.ts";

const windowStart = 16;
const windowSize = largestPacket + 100;

/** A packet that is nothing but a true length. */
function packet(family: 4 | 6, length: number, filling = 0xff): Uint8Array {
  const bytes = new Uint8Array(length).fill(filling);
  bytes[0] = family === 4 ? 0x45 : 0x60;
  new DataView(bytes.buffer).setUint16(family === 4 ? 2 : 4, family === 4 ? length : length - 40);
  return bytes;
}

/** What comes out of a stream that arrives in chunks of these sizes, again and again. */
function split(stream: Uint8Array, chunkSizes: readonly number[]) {
  const bytes = new Uint8Array(windowStart + windowSize);
  const boundaries = new PacketBoundaries(bytes, windowStart, windowSize);
  const packets: Uint8Array[] = [];
  for (let at = 0, i = 0; at < stream.length && boundaries.fault === undefined; i++) {
    const count = Math.min(chunkSizes[i % chunkSizes.length], boundaries.room, stream.length - at);
    assert.ok(count > 0, "there is always room for more");
    bytes.set(stream.subarray(at, at + count), boundaries.fill);
    boundaries.accept(count);
    at += count;
    for (let found = boundaries.next(); found >= 0; found = boundaries.next()) {
      packets.push(bytes.slice(found, found + boundaries.length));
    }
  }
  return { packets, fault: boundaries.fault, isAtBoundary: boundaries.isAtBoundary };
}

test("packets come out as they went in, wherever the stream is cut", () => {
  const packets = fc.oneof(
    fc.integer({ min: 20, max: 3000 }).map((length) => packet(4, length)),
    fc.integer({ min: 40, max: 3000 }).map((length) => packet(6, length)),
  );
  fc.assert(
    fc.property(
      fc.array(packets, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 8 }),
      (sent, chunks) => {
        assert.deepEqual(split(concatBytes(...sent), chunks), { packets: sent, fault: undefined, isAtBoundary: true });
      },
    ),
  );
});

test("the longest packets fit", () => {
  const sent = [packet(6, largestPacket), packet(4, 65_535), packet(6, largestPacket)];
  assert.deepEqual(split(concatBytes(...sent), [1400]).packets, sent);
});

test("half a packet is known as such", () => {
  const stream = concatBytes(packet(4, 100), packet(6, 100).subarray(0, 60));
  const { packets, fault, isAtBoundary } = split(stream, [7]);
  assert.deepEqual([packets.length, fault, isAtBoundary], [1, undefined, false]);
});

const faults: [what: string, bytes: Uint8Array, fault: string][] = [
  ["a version that is none", Uint8Array.of(0x55), "not-ip"],
  ["zeros", new Uint8Array(100), "not-ip"],
  ["an IPv4 header shorter than itself", Uint8Array.of(0x44), "length-lies"],
  ["an IPv4 packet shorter than its header", Uint8Array.of(0x46, 0, 0, 23), "length-lies"],
];

for (const [what, bytes, fault] of faults) {
  test(`${what} ends the stream, and what came before still counts`, () => {
    const stream = concatBytes(packet(4, 20), bytes, packet(4, 20));
    for (const chunk of [1, 1000]) {
      const result = split(stream, [chunk]);
      assert.equal(result.fault, fault);
      assert.deepEqual(result.packets, [packet(4, 20)]);
    }
  });
}

test("no bytes whatever fill the window, throw, or give a packet of another length than it says", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 4000 }), fc.integer({ min: 1, max: 4000 }), (noise, chunk) => {
      const { packets } = split(concatBytes(packet(4, 20), noise), [chunk]);
      for (const { length } of packets) assert.ok(length >= 20 && length <= largestPacket);
    }),
  );
});
