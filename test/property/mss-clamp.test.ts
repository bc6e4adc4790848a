import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { clampMss } from "../../src/packet/mss-clamp.ts";
import { slowClamp, tcpChecksum } from "../reference/mss-clamp.ts";
import { makePacket } from "../reference/packets.ts";

const guard = 0xa5;

/** The packet at an odd place between bytes that nobody may touch, clamped. */
function clamped(packet: Uint8Array, largest: number, at: number): { packet: Uint8Array; changed: boolean } {
  const room = new Uint8Array(at + packet.length + 64).fill(guard);
  room.set(packet, at);
  const changed = clampMss(room, at, packet.length, largest);
  assert.ok(room.subarray(0, at).every((byte) => byte === guard));
  assert.ok(room.subarray(at + packet.length).every((byte) => byte === guard));
  return { packet: room.slice(at, at + packet.length), changed };
}

const mss = fc.nat(0xffff).map((value) => [2, 4, value >> 8, value & 255]);
const otherOption = fc.oneof(
  fc.constant([1]),
  fc.constant([4, 2]),
  fc.constant([3, 3, 7]),
  fc.uint8Array({ minLength: 8, maxLength: 8 }).map((stamp) => [8, 10, ...stamp]),
);
/** At most 40 bytes, ended and filled up to a multiple of 4. */
const options = fc
  .tuple(fc.array(otherOption, { maxLength: 4 }), fc.option(mss), fc.array(otherOption, { maxLength: 4 }))
  .map(([before, value, after]) => [...before.flat(), ...(value ?? []), ...after.flat()].slice(0, 40))
  .map((list) => Uint8Array.from([...list, ...new Array((4 - (list.length % 4)) % 4).fill(0)]));
const extensions = fc.array(
  fc.tuple(fc.constantFrom(0, 43, 44, 51, 60), fc.nat(2), fc.uint8Array({ minLength: 24, maxLength: 24 })),
  { maxLength: 3 },
);

/** The same packet with extension headers before what follows the IPv6 header. */
function extend(packet: Uint8Array, headers: readonly (readonly [number, number, Uint8Array])[]): Uint8Array {
  const kinds = [...headers.map(([kind]) => kind), packet[6]];
  const bytes = headers.flatMap(([kind, units, body], i) => {
    const size = kind === 44 ? 8 : kind === 51 ? (units + 2) * 4 : (units + 1) * 8;
    const header = [kinds[i + 1], kind === 44 ? 0 : units, ...body].slice(0, size);
    if (kind === 44) header.splice(2, 2, body[0] >> 7, 1); // the first fragment, or one in the middle
    return header;
  });
  const extended = Uint8Array.from([...packet.slice(0, 40), ...bytes, ...packet.slice(40)]);
  extended[6] = kinds[0];
  return extended;
}

test("a clamped packet equals its slow twin's, with a right checksum", () => {
  const payload = fc.uint8Array({ maxLength: 40 });
  const flags = fc.constantFrom(0x02, 0x12, 0xc2, 0x10, 0x18);
  fc.assert(
    fc.property(
      fc.record({ family: fc.constantFrom(4 as const, 6 as const), flags, options, payload, window: fc.nat(0xffff) }),
      extensions,
      fc.oneof(fc.integer({ min: 1200, max: 1420 }), fc.nat(0xffff)),
      fc.nat(40),
      (fields, headers, largest, at) => {
        const plain = makePacket(fields);
        const packet = fields.family === 6 ? extend(plain, headers) : plain;
        const expected = slowClamp(packet, largest);
        const found = clamped(packet, largest, at);
        assert.equal(found.changed, expected !== undefined);
        if (expected === undefined) {
          assert.deepEqual(found.packet, packet);
          return;
        }
        const tcp = packet.length - plain.length + (fields.family === 4 ? 20 : 40);
        const sum = tcpChecksum(expected, tcp);
        // Both zeros of the ones' complement say the same (RFC 1624 §3).
        assert.ok([sum, sum === 0 ? 0xffff : sum].includes(found.packet[tcp + 16] * 256 + found.packet[tcp + 17]));
        expected.set(found.packet.subarray(tcp + 16, tcp + 18), tcp + 16);
        assert.deepEqual(found.packet, expected);
      },
    ),
    { numRuns: 2000 },
  );
});

test("whatever the bytes, only the option and the checksum of a packet that the twin would change are touched", () => {
  const bytes = fc.uint8Array({ minLength: 40, maxLength: 160 });
  const start = fc.constantFrom([0x45], [0x46], [0x4f], [0x60]);
  fc.assert(
    fc.property(
      bytes,
      start,
      fc.constantFrom(0, 6, 6, 6, 43, 44, 51, 60),
      fc.nat(3000),
      (packet, [first], next, mtu) => {
        packet[0] = first;
        packet[first >> 4 === 4 ? 9 : 6] = next;
        if ((first & 15) * 4 > packet.length) return;
        const expected = slowClamp(packet, mtu);
        const found = clamped(packet, mtu, 3);
        assert.equal(found.changed, expected !== undefined);
        const differing = found.packet.filter((byte, i) => byte !== packet[i]).length;
        assert.ok(differing <= (found.changed ? 4 : 0));
      },
    ),
    { numRuns: 5000 },
  );
});
