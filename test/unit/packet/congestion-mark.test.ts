import assert from "node:assert/strict";
import { test } from "node:test";
import { Ecn, mergeEcn, readEcn } from "../../../src/packet/congestion-mark.ts";
import { slowMergeEcn } from "../../reference/congestion-mark.ts";
import { makePacket } from "../../reference/packets.ts";

test("all sixteen pairs of marks, over IPv4 and IPv6, come out as RFC 6040 says", () => {
  let dropped = 0;
  for (const family of [4, 6] as const) {
    for (let inner = 0; inner < 4; inner++) {
      for (let outer = 0; outer < 4; outer++) {
        const packet = makePacket({ family, trafficClass: 0xb8 | inner, flowLabel: 0xfffff });
        const expected = slowMergeEcn(packet, outer);
        assert.equal(readEcn(packet, 0), inner);
        assert.equal(mergeEcn(packet, 0, outer), expected !== undefined);
        if (expected === undefined) dropped++;
        else assert.deepEqual(packet, expected, `IPv${family}, ${inner} in ${outer}`);
      }
    }
  }
  assert.equal(dropped, 2);
});

test("a header checksum that was wrong stays wrong: the host is to find it", () => {
  const packet = makePacket({ trafficClass: Ecn.ect0 });
  packet[10] ^= 0x40;
  const marked = packet.slice();
  assert.equal(mergeEcn(marked, 0, Ecn.congested), true);
  const right = slowMergeEcn(packet, Ecn.congested);
  assert.notDeepEqual(marked, right);
  marked[10] ^= 0x40;
  assert.deepEqual(marked, right);
});

test("a header checksum that becomes zero is zero, not its other form", () => {
  const base = makePacket({ trafficClass: Ecn.ect0 });
  const checksum = (base[10] << 8) | base[11];
  // Each step of the identification takes one from the checksum.
  const packet = makePacket({ trafficClass: Ecn.ect0, identification: (checksum + 0x1_0000 - 0xffff) & 0xffff });
  assert.deepEqual([...packet.subarray(10, 12)], [0xff, 0xfe]);
  const expected = slowMergeEcn(packet, Ecn.ect1);
  assert.equal(mergeEcn(packet, 0, Ecn.ect1), true);
  assert.deepEqual(packet, expected);
});
