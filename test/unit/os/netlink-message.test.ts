import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, fromHex, toHex } from "../../../src/base/bytes.ts";
import {
  attribute,
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  failureIn,
  MessageFlag,
  readText,
  readU32,
  u32,
} from "../../../src/os/netlink-message.ts";

const bytesOf = (hex: string) => fromHex(hex.replaceAll(" ", "")) ?? assert.fail("not hexadecimal");

test("a message is its header and its body, padded", () => {
  const bytes = encodeMessage({
    type: 18,
    flags: MessageFlag.request,
    sequence: 7,
    body: Uint8Array.of(1, 2, 3, 4, 5),
  });
  assert.equal(toHex(bytes), toHex(bytesOf("15000000 1200 0100 07000000 00000000 0102030405 000000")));
});

test("an attribute is its length, its type and its value, padded", () => {
  assert.equal(toHex(attribute(3, "wg0")), toHex(bytesOf("0800 0300 77673000")));
  assert.equal(toHex(attribute(3, "lo")), toHex(bytesOf("0700 0300 6c6f00 00")));
  assert.equal(toHex(attribute(18, [attribute(1, "tun")])), toHex(bytesOf("0c00 1280 0800 0100 74756e00")));
});

test("attributes are read back by type, nested ones too", () => {
  const bytes = concatBytes(attribute(4, u32(1420)), attribute(18, [attribute(1, "tun")]), attribute(3, "wg0"));
  const found = decodeAttributes(bytes);
  assert.deepEqual([...found.keys()], [4, 18, 3]);
  assert.equal(readU32(found.get(4)), 1420);
  assert.equal(readText(found.get(3)), "wg0");
  assert.equal(readText(decodeAttributes(found.get(18) ?? new Uint8Array()).get(1)), "tun");
});

test("several messages of one receive are told apart, up to the first that is cut off", () => {
  const one = encodeMessage({ type: 16, flags: 2, sequence: 1, body: Uint8Array.of(9) });
  const two = encodeMessage({ type: 17, flags: 2, sequence: 2, body: Uint8Array.of(8, 8, 8, 8) });
  assert.deepEqual(
    decodeMessages(concatBytes(one, two, one.subarray(0, 16))).map(({ type, sequence, body }) => [
      type,
      sequence,
      [...body],
    ]),
    [
      [16, 1, [9]],
      [17, 2, [8, 8, 8, 8]],
    ],
  );
});

test("lengths that lie are not believed", () => {
  assert.deepEqual(decodeMessages(bytesOf("00000000 0000 0000 00000000 00000000")), []);
  assert.deepEqual(decodeMessages(bytesOf("ffffffff 0000 0000 00000000 00000000")), []);
  assert.equal(decodeAttributes(bytesOf("0000 0100 0000 0000")).size, 0);
  assert.equal(decodeAttributes(bytesOf("0900 0100 0000 0000")).size, 0);
});

test("an error carries the errno and the kernel's words, an acknowledgement neither", () => {
  const echo = bytesOf("10000000 1400 0506 01000000 00000000");
  const words = attribute(1, "address already assigned");
  const refusal = { type: 2, flags: 0x300, sequence: 1, body: concatBytes(u32(-17), echo, words) };
  assert.deepEqual(failureIn(refusal), { errno: 17, reason: "address already assigned" });
  assert.deepEqual(failureIn({ ...refusal, flags: 0 }), { errno: 17, reason: undefined });
  assert.equal(failureIn({ type: 2, flags: 0x100, sequence: 1, body: concatBytes(u32(0), echo) }), undefined);
});

test("an error that is not capped repeats the whole request before the kernel's words", () => {
  const request = encodeMessage({ type: 20, flags: 0, sequence: 1, body: new Uint8Array(10) });
  const body = concatBytes(u32(-22), request, attribute(1, "no"));
  assert.deepEqual(failureIn({ type: 2, flags: 0x200, sequence: 1, body }), { errno: 22, reason: "no" });
});
