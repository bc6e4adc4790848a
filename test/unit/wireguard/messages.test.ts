import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CookieReply,
  Data,
  Initiation,
  macLength,
  messageType,
  Response,
  readCounter,
  readUint32,
  writeCounter,
  writeUint32,
} from "../../../src/wireguard/messages.ts";

test("the layouts add up to the whitepaper's sizes", () => {
  assert.equal(Initiation.size, 4 + 4 + 32 + (32 + 16) + (12 + 16) + 2 * macLength);
  assert.equal(Initiation.mac2 + macLength, Initiation.size);
  assert.equal(Response.size, 4 + 4 + 4 + 32 + 16 + 2 * macLength);
  assert.equal(Response.mac2 + macLength, Response.size);
  assert.equal(CookieReply.size, 4 + 4 + 24 + 16 + 16);
  assert.equal(Data.size, 4 + 4 + 8 + 16);
});

test("a message is what its type and length say together", () => {
  const cases: [type: number, length: number, expected: ReturnType<typeof messageType>][] = [
    [1, 148, 1],
    [1, 147, "message-wrong-length"],
    [1, 149, "message-wrong-length"],
    [2, 92, 2],
    [2, 91, "message-wrong-length"],
    [3, 64, 3],
    [3, 65, "message-wrong-length"],
    [4, 32, 4],
    [4, 31, "message-too-short"],
    [4, 1_500, 4],
    [0, 148, "message-unknown-type"],
    [5, 148, "message-unknown-type"],
    [0x0100_0001, 148, "message-unknown-type"],
    [1, 0, "message-too-short"],
  ];
  for (const [type, length, expected] of cases) {
    const message = new Uint8Array(Math.max(length, 4));
    writeUint32(message, 0, type);
    assert.equal(messageType(message.subarray(0, length)), expected, `type ${type}, ${length} bytes`);
  }
});

test("integers are little-endian, counters have both words", () => {
  const bytes = new Uint8Array(10).fill(0xa5);
  writeUint32(bytes, 1, 0xfedc_ba98);
  assert.deepEqual([...bytes], [0xa5, 0x98, 0xba, 0xdc, 0xfe, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5]);
  assert.equal(readUint32(bytes, 1), 0xfedc_ba98);
  writeCounter(bytes, 1, 2 ** 48 + 2 ** 32 * 3 + 7);
  assert.deepEqual([...bytes], [0xa5, 7, 0, 0, 0, 3, 0, 1, 0, 0xa5]);
  assert.equal(readCounter(bytes, 1), 2 ** 48 + 2 ** 32 * 3 + 7);
});
