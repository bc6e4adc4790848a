import assert from "node:assert/strict";
import { test } from "node:test";
import { messageFields, readStamp } from "../../../src/lab/message-fields.ts";
import { Data, Initiation, Response, writeUint32 } from "../../../src/wireguard/messages.ts";
import { stampAfter } from "../../../src/wireguard/timestamp.ts";

function message(type: number, size: number): Uint8Array {
  const bytes = Uint8Array.from({ length: size }, (_, i) => i);
  writeUint32(bytes, 0, type);
  return bytes;
}

test("the fields of each message follow one another without gaps, with the bytes at their offsets", () => {
  for (const [type, size, names, offsets] of [
    [
      Initiation.type,
      Initiation.size,
      "type reserved sender ephemeral static timestamp mac1 mac2",
      [0, 1, 4, 8, 40, 88, 116, 132],
    ],
    [
      Response.type,
      Response.size,
      "type reserved sender receiver ephemeral nothing mac1 mac2",
      [0, 1, 4, 8, 12, 44, 60, 76],
    ],
    [Data.type, 128, "type reserved receiver counter packet", [0, 1, 4, 8, 16]],
  ] as const) {
    const bytes = message(type, size);
    const fields = messageFields(bytes);
    assert.equal(fields.map(({ name }) => name).join(" "), names);
    assert.deepEqual(
      fields.map(({ offset }) => offset),
      offsets,
    );
    let at = 0;
    for (const field of fields) {
      assert.equal(field.offset, at, field.name);
      assert.equal(field.bytes, Buffer.from(bytes.subarray(at, at + field.length)).toString("hex"), field.name);
      at += field.length;
    }
    assert.equal(at, size);
  }
});

test("what varies is said: the counter, the length of what is sealed, and whether there is a cookie", () => {
  const meaning = (bytes: Uint8Array, name: string) =>
    messageFields(bytes).find((field) => field.name === name)?.meaning;
  const data = message(Data.type, 128);
  data.fill(0, Data.counter, Data.payload);
  data[Data.counter] = 5;
  assert.equal(meaning(data, "counter"), "5");
  assert.equal(meaning(data, "packet"), "a packet, padded and sealed: 96 bytes and a tag of 16");
  const initiation = message(Initiation.type, Initiation.size);
  assert.equal(meaning(initiation, "mac2"), "made with a cookie");
  assert.equal(meaning(initiation.fill(0, Initiation.mac2), "mac2"), "zero: no cookie was asked for");
});

test("what is no such message has no fields", () => {
  assert.deepEqual(messageFields(message(Initiation.type, 147)), []);
  assert.deepEqual(messageFields(message(3, 64)), []);
  assert.deepEqual(messageFields(new Uint8Array(0)), []);
});

test("a stamp is read back, to the 16.8 ms that it is cut to", () => {
  const time = 1_795_000_000_123;
  const read = readStamp(stampAfter(undefined, time));
  assert.ok(time - read >= 0 && time - read < 16.8, `${read}`);
});
