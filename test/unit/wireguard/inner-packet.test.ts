import assert from "node:assert/strict";
import { test } from "node:test";
import { innerPacketLength } from "../../../src/wireguard/inner-packet.ts";

function v4(totalLength: number, { headerWords = 5 } = {}): Uint8Array {
  const bytes = new Uint8Array(2_000);
  bytes.set([0x40 | headerWords, 0, totalLength >> 8, totalLength], 7);
  return bytes;
}

function v6(payloadLength: number): Uint8Array {
  const bytes = new Uint8Array(2_000);
  bytes.set([0x60, 0, 0, 0, payloadLength >> 8, payloadLength], 7);
  return bytes;
}

test("IPv4: the total length, cut from the padding, never longer than what is there", () => {
  assert.equal(innerPacketLength(v4(20), 7, 32), 20);
  assert.equal(innerPacketLength(v4(1_420), 7, 1_420), 1_420);
  assert.equal(innerPacketLength(v4(33), 7, 32), -1);
  assert.equal(innerPacketLength(v4(19), 7, 32), -1, "shorter than a header");
  assert.equal(innerPacketLength(v4(20), 7, 19), -1);
  assert.equal(innerPacketLength(v4(24, { headerWords: 6 }), 7, 32), 24);
  assert.equal(innerPacketLength(v4(20, { headerWords: 6 }), 7, 32), -1, "shorter than its own header");
  assert.equal(innerPacketLength(v4(20, { headerWords: 4 }), 7, 32), -1);
});

test("IPv6: the payload length and forty", () => {
  assert.equal(innerPacketLength(v6(0), 7, 48), 40);
  assert.equal(innerPacketLength(v6(1_380), 7, 1_420), 1_420);
  assert.equal(innerPacketLength(v6(9), 7, 48), -1);
  assert.equal(innerPacketLength(v6(0), 7, 39), -1);
});

test("no other version, and nothing at all", () => {
  for (const version of [0, 1, 5, 7, 15]) {
    assert.equal(innerPacketLength(new Uint8Array(64).fill(version << 4), 0, 64), -1);
  }
  assert.equal(innerPacketLength(new Uint8Array(0), 0, 0), -1);
});
