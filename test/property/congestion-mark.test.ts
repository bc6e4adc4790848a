import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mergeEcn, readEcn } from "../../src/packet/congestion-mark.ts";
import { slowMergeEcn } from "../reference/congestion-mark.ts";
import { makePacket, type PacketFields } from "../reference/packets.ts";

const fields = fc.record({
  family: fc.constantFrom<PacketFields["family"]>(4, 6),
  trafficClass: fc.nat(255),
  flowLabel: fc.nat(0xf_ffff),
  identification: fc.nat(0xffff),
  timeToLive: fc.nat(255),
  source: fc.nat(255),
  payload: fc.uint8Array({ maxLength: 40 }),
});

test("what a router marked comes onto the packet as RFC 6040 has it, with a right checksum, and nothing else changes", () => {
  fc.assert(
    fc.property(fields, fc.nat(3), fc.nat(20), (drawn, outer, at) => {
      const packet = makePacket(drawn);
      const bytes = new Uint8Array(at + packet.length + 8).fill(0xa5);
      bytes.set(packet, at);
      assert.equal(readEcn(bytes, at), drawn.trafficClass & 3);
      const expected = slowMergeEcn(packet, outer);
      assert.equal(mergeEcn(bytes, at, outer), expected !== undefined);
      assert.deepEqual(bytes.slice(at, at + packet.length), expected ?? packet);
      assert.ok(bytes.subarray(0, at).every((byte) => byte === 0xa5));
      assert.ok(bytes.subarray(at + packet.length).every((byte) => byte === 0xa5));
    }),
    { numRuns: 2000 },
  );
});
