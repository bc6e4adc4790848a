import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { isZero } from "../../../src/base/bytes.ts";
import { VpnError } from "../../../src/base/errors.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../../../src/base/keys.ts";

const base64 = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const hex = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";

test("a secret key shows itself nowhere but in `reveal`", () => {
  for (const key of [PrivateKey.parse(base64), PresharedKey.parse(base64)]) {
    const shown = [
      `${key}`,
      String(key),
      JSON.stringify({ key }),
      inspect(key),
      inspect({ deep: { key } }),
      inspect(key, { showHidden: true }),
    ];
    for (const text of shown) {
      assert.match(text, /<redacted>/);
      assert.doesNotMatch(text, /AQID|0102|1, 2, 3/);
    }
    assert.equal(key.reveal(), base64);
  }
});

test("a public key shows as base64, in hexadecimal or in short", () => {
  const key = PublicKey.parse(base64);
  assert.equal(`${key}`, base64);
  assert.equal(JSON.stringify({ key }), `{"key":"${base64}"}`);
  assert.equal(inspect(key), base64);
  assert.equal(key.hex, hex);
  assert.equal(key.short, "AQIDBAUG…");
});

test("a key is a copy, also of a Buffer, whose own `slice` would share its memory", () => {
  const secret = Buffer.from(hex, "hex");
  const key = new PrivateKey(secret);
  secret.fill(0);
  assert.equal(key.reveal(), base64);
  key[Symbol.dispose]();
  assert.ok(isZero(key.bytes));
});

test("keys are read from base64 or hexadecimal", () => {
  assert.ok(PublicKey.parse(hex).equals(PublicKey.parse(base64)));
  assert.ok(!PublicKey.parse(hex).equals(new PublicKey(new Uint8Array(32))));
});

test("what is no key is refused without being quoted, for it may be nearly one", () => {
  const wrong = ["", "secret", base64.slice(1), `${base64}=`, hex.slice(2), `${base64.slice(0, 42)}B=`];
  for (const text of wrong) {
    for (const type of [PrivateKey, PresharedKey, PublicKey]) {
      assert.throws(
        () => type.parse(text),
        (error) => error instanceof VpnError && error.code === "invalid-argument" && !error.line.includes(text || "\0"),
      );
    }
  }
  assert.throws(() => new PrivateKey(new Uint8Array(31)), VpnError);
});

test("a key is a copy, and its owner can overwrite it", () => {
  const bytes = new Uint8Array(32).fill(7);
  const key = new PrivateKey(bytes);
  bytes.fill(0);
  assert.ok(!isZero(key.bytes));
  key[Symbol.dispose]();
  assert.ok(isZero(key.bytes));
});

test("no preshared key is all zeros", () => {
  assert.ok(PresharedKey.none.isNone);
  assert.ok(!PresharedKey.parse(base64).isNone);
});
