import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromHex } from "../../../src/base/bytes.ts";
import { comparePackets, describeChange } from "../../../src/packet/difference.ts";
import { dissect, type PacketField } from "../../../src/packet/dissection.ts";

/** An echo request from 10.8.0.2 to 8.8.8.8, without payload and with wrong checksums. */
const request = bytes("4500001c1a2b40004001ff9f0a080002080808080800e5d712340014");

function bytes(hex: string): Uint8Array {
  const value = fromHex(hex);
  assert(value);
  return value;
}

function field(fields: readonly PacketField[], layer: string, name: string): PacketField {
  const found = fields.find((candidate) => candidate.layer === layer && candidate.name === name);
  assert(found, `${layer} ${name}`);
  return found;
}

test("an echo over IPv4 is taken apart", () => {
  const fields = dissect(request);
  assert.deepEqual(
    fields.map(({ offset, layer, name, value }) => [offset, layer, name, value]),
    [
      [0, "IPv4", "version and header length", "version 4, header of 5 times 4 bytes"],
      [1, "IPv4", "type of service", "class 0"],
      [2, "IPv4", "total length", "28 bytes"],
      [4, "IPv4", "identification", "0x1a2b"],
      [6, "IPv4", "flags and fragment offset", "don't fragment"],
      [8, "IPv4", "time to live", "64"],
      [9, "IPv4", "protocol", "1 (ICMP)"],
      [10, "IPv4", "header checksum", "0xff9f, wrong"],
      [12, "IPv4", "source", "10.8.0.2"],
      [16, "IPv4", "destination", "8.8.8.8"],
      [20, "ICMP", "type", "8 (echo request)"],
      [21, "ICMP", "code", "0"],
      [22, "ICMP", "checksum", "0xe5d7, wrong"],
      [24, "ICMP", "identifier", "0x1234"],
      [26, "ICMP", "sequence number", "20"],
    ],
  );
});

test("checksums are right, wrong, not made, or left to the network card", () => {
  const udp = (checksum: string) =>
    dissect(bytes(`450000200000000040110000cb0071020808080800350035000c${checksum}61626364`));
  // The pseudo-header: 0xcb00 + 0x7102 + 0x0808 + 0x0808 + 17 + 12; the datagram: 0x35 + 0x35 + 12 + 0x6162 + 0x6364.
  const pseudo = fold(0xcb00 + 0x7102 + 0x0808 + 0x0808 + 17 + 12);
  const whole = 0xffff ^ fold(pseudo + 0x35 + 0x35 + 12 + 0x6162 + 0x6364);
  const states = [whole, whole ^ 1, 0, pseudo].map(
    (sum) => field(udp(sum.toString(16).padStart(4, "0")), "UDP", "checksum").value.split(", ")[1],
  );
  assert.deepEqual(states, ["right", "wrong", "not made", "unfinished: that of the pseudo-header"]);
  assert.equal(field(udp("0000"), "IPv4", "header checksum").value, "0x0000, not made");
});

function fold(sum: number): number {
  return sum > 0xffff ? fold((sum & 0xffff) + (sum >>> 16)) : sum;
}

test("an echo over IPv6, and a message behind a hop-by-hop header", () => {
  const addresses = "fd100008000000000000000000000002".concat("20014860486000000000000000008888");
  const fields = dissect(bytes(`6000123400083a40${addresses}8000000012340001`));
  assert.equal(field(fields, "IPv6", "version, class and flow label").value, "version 6, class 0, flow 0x01234");
  assert.equal(field(fields, "IPv6", "hop limit").value, "64");
  assert.equal(field(fields, "IPv6", "destination").value, "2001:4860:4860::8888");
  assert.equal(field(fields, "ICMPv6", "type").value, "128 (echo request)");
  assert.equal(field(fields, "ICMPv6", "sequence number").value, "1");
  const report = dissect(bytes(`6000000000100001${addresses}3a000502000001008f00000000000000`));
  assert.equal(field(report, "extension", "options").value, "8 bytes, then 58 (ICMPv6)");
  assert.equal(field(report, "ICMPv6", "type").value, "143 (multicast listener report)");
  const longer = dissect(bytes(`6000000000180001${addresses}3a01${"01".repeat(14)}8f00000000000000`));
  assert.deepEqual(
    [field(longer, "extension", "options").bytes.length, field(longer, "ICMPv6", "type").offset],
    [16, 56],
  );
});

test("only the first fragment has the header of what it carries", () => {
  const fragment = (flagsAndOffset: number) => {
    const packet = request.slice();
    packet.set([flagsAndOffset >> 8, flagsAndOffset & 0xff], 6);
    return dissect(packet);
  };
  assert.equal(field(fragment(0x2000), "ICMP", "type").value, "8 (echo request)");
  assert.equal(field(fragment(0x2000), "IPv4", "flags and fragment offset").value, "more fragments");
  const later = fragment(0x00b9);
  assert.equal(field(later, "IPv4", "flags and fragment offset").value, "offset 1480");
  assert.equal(field(later, "payload", "payload").bytes.length, 8);
});

test("a message without its packet is read from its first byte", () => {
  const fields = dissect(bytes("0800000000000001616263"), "ICMP");
  assert.equal(field(fields, "ICMP", "checksum").value, "0x0000, not made");
  assert.deepEqual([field(fields, "payload", "payload").offset, fields.length], [8, 6]);
});

test("whatever the bytes, each belongs to exactly one field", () => {
  const header = fc.constantFrom(0x45, 0x46, 0x4f, 0x41, 0x60, 0x00);
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 120 }), (first, rest) => {
      const packet = Uint8Array.from([first, ...rest]);
      for (const start of ["packet", "ICMP", "ICMPv6"] as const) {
        let at = 0;
        for (const { offset, bytes: taken } of dissect(packet, start)) {
          assert.equal(offset, at);
          assert(taken.length > 0);
          at += taken.length;
        }
        assert.equal(at, packet.length);
      }
    }),
    { numRuns: 2000 },
  );
});

test("what changed is named field by field", () => {
  const later = request.slice();
  later[8] = 63;
  later.set([203, 0, 113, 10], 12);
  const changes = comparePackets(dissect(request), dissect(later)).map(describeChange);
  assert.deepEqual(
    changes.filter((change) => !change.includes("checksum")),
    ["IPv4 time to live 64 → 63", "IPv4 source 10.8.0.2 → 203.0.113.10"],
  );
  assert.deepEqual(comparePackets(dissect(request), dissect(request.slice())), []);
});

test("headers that come and go, fields without a counterpart, and other bytes of the same length", () => {
  const message = request.subarray(20);
  const whole = dissect(request);
  const alone = dissect(message, "ICMP");
  assert.deepEqual(comparePackets(alone, whole).map(describeChange), ["IPv4 header of 20 bytes added"]);
  assert.deepEqual(comparePackets(whole, alone).map(describeChange), ["IPv4 header of 20 bytes removed"]);
  const [one, other] = ["61626364", "61626365"].map((payload) => dissect(bytes(`0800000000000001${payload}`), "ICMP"));
  assert.deepEqual(comparePackets(one, other).map(describeChange), ["payload: other bytes, 4 bytes"]);
});
