import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldLines, hexLines, recordPacket } from "../../../src/lab/packet-account.ts";

test("bytes come in lines of sixteen, each with its offset", () => {
  const hex = "00112233445566778899aabbccddeeff0102";
  assert.deepEqual(hexLines(hex), ["0000  0011 2233 4455 6677 8899 aabb ccdd eeff", "0010  0102"]);
  assert.deepEqual(hexLines(""), []);
});

test("fields stand in columns, and long ones are cut", () => {
  const packet = Uint8Array.of(8, 0, 0, 0, 0x12, 0x34, 0, 7, ...new Array(20).fill(0xab));
  assert.deepEqual(fieldLines(recordPacket(packet, "ICMP").fields), [
    "offset  bytes               field                 meaning",
    "     0  08                  ICMP type             8 (echo request)",
    "     1  00                  ICMP code             0",
    "     2  0000                ICMP checksum         0x0000, not made",
    "     4  1234                ICMP identifier       0x1234",
    "     6  0007                ICMP sequence number  7",
    "     8  abababababababab …  payload               20 bytes",
  ]);
});
