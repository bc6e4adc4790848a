import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Endpoint } from "../../../src/base/address.ts";
import { Arena } from "../../../src/os/arena.ts";
import { applyKey, ClassicConnection, classicConnectionSize } from "../../../src/transport/classic.ts";

test("every byte of the range is XORed with 0x42, and no other", () => {
  const place = fc.integer({ min: 0, max: 64 });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), place, place, (plain, a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      const bytes = Uint8Array.from(plain);
      applyKey(bytes, new Int32Array(bytes.buffer), from, to);
      assert.deepEqual(
        bytes,
        plain.map((byte, i) => (i >= from && i < to ? byte ^ 0x42 : byte)),
      );
    }),
  );
});

test("a queue that is full drops whole packets and counts them", () => {
  using arena = new Arena({ size: Math.ceil((classicConnectionSize + 2000) / 65_536) * 65_536 });
  const connection = new ClassicConnection(arena, 0, 0, -1, Endpoint.parse("192.0.2.1:5555"));
  const length = 1500;
  let taken = 0;
  while (connection.send(classicConnectionSize, length)) taken++;
  assert.equal(taken, Math.floor((256 * 1024) / length));
  assert.equal(connection.send(classicConnectionSize, length), false);
  assert.equal(connection.dropped, 2);
  assert.equal(connection.flush(), "connection-lost", "a socket that is none");
});
