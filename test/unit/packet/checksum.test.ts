import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "../../../src/base/bytes.ts";
import { checksum, onesComplementSum, pseudoHeaderSum } from "../../../src/packet/checksum.ts";
import { Protocol } from "../../../src/packet/ip.ts";
import { slowSum } from "../../reference/checksum.ts";

const bytes = (hex: string): Uint8Array => fromHex(hex.replaceAll(" ", "")) ?? assert.fail("not hexadecimal");

test("the sum of RFC 1071 §3's example", () => {
  const example = bytes("00 01 f2 03 f4 f5 f6 f7");
  assert.equal(onesComplementSum(example), 0xddf2);
  assert.equal(slowSum(example), 0xddf2);
  assert.equal(checksum(example), 0x220d);
});

test("an odd last byte is the first of its word", () => {
  assert.equal(onesComplementSum(bytes("12 34 56")), 0x1234 + 0x5600);
});

test("an IPv4 header's checksum, and that a header with it sums to 0xffff", () => {
  assert.equal(checksum(bytes("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7")), 0xb861);
  assert.equal(onesComplementSum(bytes("4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7")), 0xffff);
});

test("pseudo-headers of both families", () => {
  const ipv4 = bytes("4500 0000 0000 4000 4011 0000 0a08 0001 0a08 0002");
  assert.equal(pseudoHeaderSum(ipv4, Protocol.udp, 0x20), 0x0a08 + 1 + 0x0a08 + 2 + 17 + 0x20);
  const ipv6 = bytes(`6000 0000 0000 3a40 ${"fd00 0000 0000 0000 0000 0000 0000 0001 ".repeat(2)}`);
  assert.equal(pseudoHeaderSum(ipv6, Protocol.icmpv6, 8), ((2 * 0xfd00) % 0xffff) + 2 + 58 + 8);
});
