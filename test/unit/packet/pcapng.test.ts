import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../../src/base/bytes.ts";
import { enhancedPacket, interfaceDescription, sectionHeader } from "../../../src/packet/pcapng.ts";

test("a section begins with its magic, of version 1.0 and unknown length", () => {
  assert.equal(
    toHex(sectionHeader("test")),
    `${"0a0d0d0a"}28000000${"4d3c2b1a"}01000000ffffffffffffffff${"0400040074657374"}00000000${"28000000"}`,
  );
});

test("an interface says its name, what it is for and that times are in nanoseconds", () => {
  const bytes = interfaceDescription({ name: "wg0", description: "in", snap: 512 });
  assert.equal(
    toHex(bytes),
    `0100000030000000${"7100000010020000"}${"0200030077673000"}${"03000200696e0000"}${"0900010009000000"}0000000030000000`,
  );
});

test("a packet is padded, says which way it went, and how long it was before it was cut", () => {
  const bytes = Uint8Array.of(0x45, 1, 2, 3, 4);
  const packet = { interface: 1, seconds: 5, nanoseconds: 7, outgoing: true, protocol: 0x0800, bytes, length: 84 };
  const time = 5_000_000_007;
  assert.equal(
    toHex(enhancedPacket(packet)),
    `0600000044000000${"01000000"}${littleEndian(Math.floor(time / 2 ** 32))}${littleEndian(time % 2 ** 32)}` +
      `${littleEndian(21)}${littleEndian(100)}${"0004fffe000000000000000000000800"}${"4501020304000000"}` +
      `${"0200040002000000"}0000000044000000`,
  );
  const incoming = enhancedPacket({ ...packet, outgoing: false });
  assert.equal(toHex(incoming.subarray(28, 30)), "0000");
  assert.equal(incoming.at(-12), 1);
});

function littleEndian(value: number): string {
  return toHex(new Uint8Array(new Uint32Array([value]).buffer));
}
