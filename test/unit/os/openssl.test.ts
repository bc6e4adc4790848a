import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../../src/base/bytes.ts";
import { Arena } from "../../../src/os/arena.ts";
import { openssl } from "../../../src/os/openssl.ts";

const text =
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";

test("the block functions encrypt the example of RFC 8439 §2.4.2", () => {
  const { block } = openssl;
  assert.ok(block, "this build of Node does not export ChaCha20_ctr32");
  using arena = new Arena({ size: 65_536 });
  const bytes = new Uint8Array(arena.buffer);
  for (let i = 0; i < 32; i++) bytes[i] = i;
  bytes.set([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x4a, 0, 0, 0, 0], 32);
  bytes.set(Buffer.from(text), 64);
  block.chacha20(arena.base + 64, arena.base + 64, text.length, arena.base, arena.base + 32);
  assert.equal(toHex(bytes.subarray(64, 80)), "6e2e359a2568f98041ba0728dd0d6981");
  assert.equal(toHex(bytes.subarray(64 + text.length - 10, 64 + text.length)), "b40b8eedf2785e42874d");
});

test("the block functions authenticate the example of RFC 8439 §2.5.2", () => {
  const { block } = openssl;
  assert.ok(block, "this build of Node does not export Poly1305_Init");
  using arena = new Arena({ size: 65_536 });
  const bytes = new Uint8Array(arena.buffer);
  bytes.set(Buffer.from("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b", "hex"));
  const message = Buffer.from("Cryptographic Forum Research Group");
  bytes.set(message, 64);
  block.poly1305Init(arena.base + 1024, arena.base);
  block.poly1305Update(arena.base + 1024, arena.base + 64, message.length);
  block.poly1305Final(arena.base + 1024, arena.base + 512);
  assert.equal(toHex(bytes.subarray(512, 528)), "a8061dc1305136c6c22b8baf0c0127a9");
});

test("EVP seals and opens the example of RFC 8439 §2.8.2", () => {
  const { evp } = openssl;
  assert.ok(evp, "this build of Node does not export EVP");
  using arena = new Arena({ size: 65_536 });
  const bytes = new Uint8Array(arena.buffer);
  const [key, nonce, data, written, message] = [0, 32, 48, 64, 128].map((offset) => arena.base + offset);
  for (let i = 0; i < 32; i++) bytes[i] = 0x80 + i;
  bytes.set(Buffer.from("070000004041424344454647", "hex"), 32);
  bytes.set(Buffer.from("50515253c0c1c2c3c4c5c6c7", "hex"), 48);
  bytes.set(Buffer.from(text), 128);
  const context = evp.contextNew();
  assert.equal(evp.encryptInit(context, evp.chacha20Poly1305(), 0, key, nonce), 1);
  assert.equal(evp.encryptUpdate(context, 0, written, data, 12), 1);
  assert.equal(evp.encryptUpdate(context, message, written, message, text.length), 1);
  assert.equal(evp.encryptFinal(context, message + text.length, written), 1);
  assert.equal(evp.control(context, 16, 16, message + text.length), 1);
  assert.equal(toHex(bytes.subarray(128 + text.length, 144 + text.length)), "1ae10b594f09e26a7e902ecbd0600691");

  assert.equal(evp.decryptInit(context, 0, 0, key, nonce), 1);
  assert.equal(evp.control(context, 17, 16, message + text.length), 1);
  assert.equal(evp.decryptUpdate(context, 0, written, data, 12), 1);
  assert.equal(evp.decryptUpdate(context, message, written, message, text.length), 1);
  assert.equal(evp.decryptFinal(context, message, written), 1);
  assert.equal(Buffer.from(bytes.subarray(128, 128 + text.length)).toString(), text);
  evp.contextFree(context);
});
