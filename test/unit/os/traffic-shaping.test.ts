import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "../../../src/base/bytes.ts";
import { Match } from "../../../src/os/nftables-rule.ts";
import { encodeTokenBucket } from "../../../src/os/traffic-shaping.ts";

const hex = (text: string) => toHex(fromHex(text.replaceAll(" ", "")) ?? assert.fail("not hexadecimal"));

test("a token bucket names its interface, its rate in bytes, its queue and its burst", () => {
  const body = encodeTokenBucket(7, { bitsPerSecond: 20_000_000, queueBytes: 50_000, burstBytes: 3_000 });
  const expected =
    "00000000 07000000 00000000 ffffffff 00000000" + // struct tcmsg: interface 7, at the root
    "08000100 74626600" + // "tbf"
    "34000280 28000100" + // options, of which the first is struct tc_tbf_qopt
    "00010000 00000000 a0252600" + // Ethernet, 2,500,000 bytes a second
    "00000000 00000000 00000000 50c30000 00000000 00000000" +
    "08000600 b80b0000";
  assert.equal(toHex(body), hex(expected));
});

test("one packet in so many is a random number of that modulus, compared with zero", () => {
  const [numgen, compare] = Match.oneIn(100);
  const expected =
    "0b000100 6e756d67656e0000" + // "numgen"
    "1c000280 08000100 00000001 08000200 00000064 08000300 00000001"; // register 1, modulus 100, random
  assert.equal(toHex(numgen), hex(expected));
  assert.match(toHex(compare), /0800010000000000$/);
});
