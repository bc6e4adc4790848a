import assert from "node:assert/strict";
import { test } from "node:test";
import { dissect } from "../../../src/packet/dissection.ts";
import type { Journey } from "../../../src/trace/journey.ts";
import { describeEvent } from "../../../src/trace/journey-account.ts";
import { encodeEvent } from "../../../src/trace/journey-record.ts";
import { describePacket } from "../../../src/trace/packet-title.ts";

/** An ICMP echo request, number 2, from 10.8.0.2 to 8.8.8.8, with 56 bytes of payload. */
const request = Uint8Array.from([
  ...[0x45, 0, 0, 84, 0, 1, 0, 0, 64, 1, 0, 0, 10, 8, 0, 2, 8, 8, 8, 8],
  ...[8, 0, 0, 0, 0x12, 0x34, 0, 2],
  ...new Uint8Array(56),
]);

const journey: Journey = {
  kind: "packet",
  number: 3,
  direction: "out",
  title: describePacket(request),
  inside: { device: "wg0", at: Date.UTC(2026, 0, 2, 3, 4, 5) + 0.25, bytes: request, length: request.length },
  fields: dissect(request),
  route: {
    destination: "8.8.8.8",
    matches: "8.8.8.8/32",
    prefix: 32,
    kind: "unicast",
    device: "wg0",
    via: null,
    source: "10.8.0.2",
  },
  peer: { publicKey: "KEY=", allowedIp: "0.0.0.0/0", endpoint: undefined },
  carrier: undefined,
  candidates: 0,
  isSuperPacket: false,
  answers: undefined,
};

test("what goes out is told from the kernel outwards", () => {
  assert.deepEqual(describeEvent(journey), [
    "3  out  03:04:05.000250  ICMP echo request 2 10.8.0.2 > 8.8.8.8",
    "   1  kernel: 8.8.8.8 matches 8.8.8.8/32, prefix length 32: dev wg0, source 10.8.0.2",
    "   2  wg0 out, 84 bytes",
    "      0000  4500 0054 0001 0000 4001 0000 0a08 0002 0808 0808 0800 0000 1234 0002 0000 0000",
    "      0020  0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000",
    "      0040  0000 0000 0000 0000 0000 0000 0000 0000 0000 0000",
    "   3  tunnel: peer KEY=, allowed IP 0.0.0.0/0, at no endpoint yet",
    "   4  no message that fits was seen going out",
  ]);
});

test("what comes in is told from the outside inwards, and whose it is not", () => {
  const lines = describeEvent({ ...journey, direction: "in", peer: undefined, route: undefined });
  const places = lines.filter((line) => /^ {3}\d/.test(line));
  assert.deepEqual(places, [
    "   1  no message that fits was seen coming in",
    "   2  tunnel: nobody's allowed IP covers the source",
    "   3  wg0 in, 84 bytes",
    "   4  kernel, from wg0: no route to it",
  ]);
});

test("as JSON it is the same, bytes in hexadecimal", () => {
  const record = JSON.parse(JSON.stringify(encodeEvent(journey)));
  assert.equal(record.inside.time, "2026-01-02T03:04:05.000250Z");
  assert.equal(record.inside.bytes.slice(0, 8), "45000054");
  assert.equal(record.inside.fields.at(-1).bytes, "00".repeat(56));
  assert.deepEqual([record.outside, record.answers, record.peer.endpoint], [null, null, null]);
});

const titles: [packet: number[], title: string][] = [
  [
    [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 4, 0, 0, 8, 0, 0],
    "UDP 10.0.0.1:53 > 10.0.0.2:1024",
  ],
  [
    [
      ...[0x60, 0, 0, 0, 0, 20, 6, 64, ...new Uint8Array(15), 1, ...new Uint8Array(15), 2],
      ...[0, 80, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12, 0, 0, 0, 0, 0, 0],
    ],
    "TCP SYN ACK [::1]:80 > [::2]:1024",
  ],
  [[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 50, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], "IPv4 packet 10.0.0.1 > 10.0.0.2"],
  [[], "payload packet ? > ?"],
];
for (const [bytes, title] of titles) {
  test(`a title: ${title}`, () => assert.equal(describePacket(Uint8Array.from(bytes)), title));
}
