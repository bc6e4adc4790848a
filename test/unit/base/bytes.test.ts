import assert from "node:assert/strict";
import { test } from "node:test";
import {
  concatBytes,
  equalBytes,
  fromBase64,
  fromHex,
  isZero,
  toBase64,
  toHex,
  wipe,
} from "../../../src/base/bytes.ts";

const ascii = (text: string) => new TextEncoder().encode(text);

test("base64: RFC 4648 §10, both ways", () => {
  for (const [text, encoded] of [
    ["", ""],
    ["f", "Zg=="],
    ["fo", "Zm8="],
    ["foo", "Zm9v"],
    ["foob", "Zm9vYg=="],
    ["fooba", "Zm9vYmE="],
    ["foobar", "Zm9vYmFy"],
  ]) {
    assert.equal(toBase64(ascii(text)), encoded);
    assert.deepEqual(fromBase64(encoded), ascii(text));
  }
  assert.equal(toBase64(Uint8Array.of(0xfb, 0xff, 0xbf)), "+/+/");
});

test("base64 that is not the one canonical form is refused", () => {
  for (const text of ["Zg", "Zg=", "Zh==", "Zm9=", "Zm9v=", "====", "Z m9", "Zm9v\n", "-_-_", "Zg==Zg=="]) {
    assert.equal(fromBase64(text), undefined, JSON.stringify(text));
  }
});

test("hexadecimal: RFC 4648 §10, both ways and in either case", () => {
  assert.equal(toHex(ascii("foobar")), "666f6f626172");
  assert.deepEqual(fromHex("00fFAb"), Uint8Array.of(0, 255, 171));
  assert.deepEqual(fromHex(""), new Uint8Array(0));
  for (const text of ["0", "0g", "0x00", " 00", "00\n"]) assert.equal(fromHex(text), undefined, JSON.stringify(text));
});

test("equality is of content and length; zero is every byte", () => {
  assert.ok(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
  assert.ok(equalBytes(new Uint8Array(0), new Uint8Array(0)));
  assert.ok(!equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
  assert.ok(!equalBytes(Uint8Array.of(0, 2), Uint8Array.of(1, 2)));
  assert.ok(!equalBytes(Uint8Array.of(1), Uint8Array.of(1, 0)));
  assert.ok(isZero(new Uint8Array(3)));
  assert.ok(!isZero(Uint8Array.of(0, 0, 1)));
  assert.ok(!isZero(Uint8Array.of(128, 0)));
});

test("joining copies, wiping overwrites", () => {
  const part = Uint8Array.of(1, 2);
  const joined = concatBytes(part, new Uint8Array(0), Uint8Array.of(3));
  assert.deepEqual(joined, Uint8Array.of(1, 2, 3));
  wipe(part, joined.subarray(1));
  assert.deepEqual(part, Uint8Array.of(0, 0));
  assert.deepEqual(joined, Uint8Array.of(1, 0, 0));
});
