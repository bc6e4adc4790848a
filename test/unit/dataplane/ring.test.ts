import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Ring, ringOverhead } from "../../../src/dataplane/ring.ts";

const capacity = 256;

function makeRing(): { ring: Ring; bytes: Uint8Array; words: Int32Array } {
  const words = new Int32Array(new SharedArrayBuffer(ringOverhead + capacity));
  return { ring: new Ring(words, 0, capacity), bytes: new Uint8Array(words.buffer), words };
}

function push(ring: Ring, bytes: Uint8Array, kind: number, payload: Uint8Array): boolean {
  const at = ring.reserve(payload.length);
  if (at < 0) return false;
  bytes.set(payload, at);
  ring.commit(kind, kind * 7, -kind);
  return true;
}

test("a ring gives back what it was given, in order, and refuses what does not fit", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.constant("take" as const)), {
        maxLength: 200,
        size: "max",
      }),
      (steps) => {
        const { ring: producer, bytes, words } = makeRing();
        const consumer = new Ring(words, 0, capacity);
        const model: Uint8Array[] = [];
        let kind = 0;
        const kinds: number[] = [];
        for (const step of steps) {
          if (step !== "take") {
            kind++;
            // A record takes its header and is rounded to 8; a ring that holds nothing takes it wherever it stands
            // unless the gap at the end leaves too little.
            if (push(producer, bytes, kind, step)) {
              model.push(step);
              kinds.push(kind);
            } else
              assert.ok(model.length > 0 || step.length + 16 > capacity / 2, "an empty ring refused a small record");
            continue;
          }
          const expected = model.shift();
          assert.equal(consumer.next(), expected !== undefined);
          if (expected === undefined) continue;
          const sent = kinds.shift() ?? 0;
          assert.deepEqual([consumer.kind, consumer.first, consumer.second], [sent, sent * 7, -sent]);
          assert.deepEqual(bytes.slice(consumer.payload, consumer.payload + consumer.length), expected);
          consumer.release();
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("positions wrap around 2^32 without a seam", () => {
  const { ring, bytes, words } = makeRing();
  words[0] = words[16] = 0x7fff_ff80; // both 128 bytes short of the sign bit
  for (let i = 1; i < 50; i++) {
    assert.ok(push(ring, bytes, i, new Uint8Array(i)));
    assert.ok(ring.next());
    assert.equal(ring.length, i);
    ring.release();
  }
});

test("a record that is not one ends the reader instead of leading it astray", () => {
  const { ring, bytes, words } = makeRing();
  push(ring, bytes, 1, new Uint8Array(8));
  words[32] = 3;
  assert.throws(() => ring.next(), { code: "worker-failed" });
  words[0] = capacity + 8;
  assert.throws(() => ring.reserve(0), { code: "worker-failed" });
});
