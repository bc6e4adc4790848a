import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { tallyReads } from "../../../src/lab/read-tally.ts";
import { ipv4Packet } from "./lab-packets.ts";

const packet = ipv4Packet(17, new Uint8Array(80)); // 100 bytes
const stream = concatBytes(packet, packet, packet, packet);
const cut = (...lengths: number[]) => {
  const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, length) => sum + length, 0));
  return tallyReads(lengths.map((length, i) => stream.subarray(starts[i], starts[i] + length)));
};

test("where every read is a packet nothing is lost", () => {
  assert.deepEqual(cut(100, 100, 100, 100), {
    reads: 4,
    whole: 4,
    joined: 0,
    short: 0,
    torn: 0,
    packets: 4,
    survivors: 4,
    rest: 0,
    firstJoin: undefined,
  });
});

test("two packets in one read are one survivor", () => {
  const { whole, joined, short, torn, survivors, firstJoin } = cut(100, 200, 100);
  assert.deepEqual([whole, joined, short, torn, survivors], [2, 1, 0, 0, 3]);
  assert.deepEqual(firstJoin, { read: 1, packetBytes: 100 });
});

test("a read that ends inside a packet makes the next one begin there", () => {
  const { whole, joined, short, torn, survivors, packets, rest } = cut(150, 50, 130, 50);
  assert.deepEqual([whole, joined, short, torn, survivors], [0, 2, 0, 2, 2]);
  assert.deepEqual([packets, rest], [3, 80]);
});

test("half a packet alone survives nowhere", () => {
  const { short, torn, survivors, firstJoin } = cut(60, 40);
  assert.deepEqual([short, torn, survivors, firstJoin], [1, 1, 0, undefined]);
});
