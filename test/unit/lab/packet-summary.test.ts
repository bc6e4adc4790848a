import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, fromHex, toHex } from "../../../src/base/bytes.ts";
import {
  countContaining,
  echoKind,
  isUdpTo,
  summariseMessageIn,
  summarisePacket,
} from "../../../src/lab/packet-summary.ts";

/** From 10.8.0.2 to 8.8.8.8, with four bytes of options and four of padding behind the end. */
const echo4 = hex("46000020 00004000 40010000 0a080002 08080808 01010101 0800f7ff 00000001 aabbccdd");
/** From fd10:8::2 to 2001:4860:4860::8888. */
const echo6 = hex(
  "60000000 00083a40 fd100008 00000000 00000000 00000002 20014860 48600000 00000000 00008888 8000f7ff 00000001",
);

test("the headers of IPv4, with options, and of IPv6 are read", () => {
  assert.deepEqual(summarisePacket(echo4), {
    source: "10.8.0.2",
    destination: "8.8.8.8",
    protocol: 1,
    body: hex("0800f7ff00000001"),
  });
  assert.deepEqual(summarisePacket(echo6), {
    source: "fd10:8::2",
    destination: "2001:4860:4860::8888",
    protocol: 58,
    body: hex("8000f7ff00000001"),
  });
});

test("an echo request is known from a reply, in both families", () => {
  for (const [packet, reply] of [
    [echo4, 0],
    [echo6, 129],
  ] as const) {
    const summary = summarisePacket(packet);
    assert(summary !== undefined);
    assert.equal(echoKind(summary), "request");
    assert.equal(echoKind({ ...summary, body: Uint8Array.of(reply) }), "reply");
    assert.equal(echoKind({ ...summary, body: Uint8Array.of(3) }), undefined);
    assert.equal(echoKind({ ...summary, body: new Uint8Array(0) }), undefined);
    assert.equal(echoKind({ ...summary, protocol: 17 }), undefined);
    assert.equal(echoKind({ ...summary, protocol: 17, body: new Uint8Array(0) }), undefined);
  }
});

test("what is no IP packet has no summary", () => {
  for (const packet of ["", "45", "60", "00".repeat(40), "ff".repeat(60)]) {
    assert.equal(summarisePacket(hex(packet)), undefined, packet);
  }
});

test("of a data message the receiver, the counter and the ciphertext are read", () => {
  const sealed = hex("c0".repeat(48));
  const packet = udp(concatBytes(hex("04000000 78563412 0500000001000000"), sealed));
  const message = summariseMessageIn(packet, 51_820);
  assert.deepEqual(message, {
    kind: "data",
    type: 4,
    bytes: 64,
    receiver: 0x12345678,
    counter: 0x1_0000_0005,
    ciphertext: sealed,
  });
  assert.equal(summariseMessageIn(packet, 51_821), undefined, "another port");
});

test("handshake messages are told apart, and one of a wrong length is none", () => {
  const messageOf = (type: number, size: number) => {
    const bytes = new Uint8Array(size);
    bytes[0] = type;
    bytes.set([1, 2, 3, 4], type === 2 ? 8 : 4);
    return summariseMessageIn(udp(bytes), 51_820);
  };
  assert.deepEqual([messageOf(1, 148)?.kind, messageOf(1, 148)?.receiver], ["initiation", undefined]);
  assert.deepEqual([messageOf(2, 92)?.kind, messageOf(2, 92)?.receiver], ["response", 0x04030201]);
  assert.deepEqual([messageOf(3, 64)?.kind, messageOf(3, 64)?.receiver], ["cookie reply", 0x04030201]);
  assert.equal(messageOf(1, 147), undefined);
  assert.equal(messageOf(5, 64), undefined);
});

test("only UDP to the port is UDP to the port", () => {
  const summary = summarisePacket(udp(new Uint8Array(4)));
  assert(summary !== undefined);
  assert(isUdpTo(summary, 51_820));
  assert(!isUdpTo(summary, 40_000), "its source port");
  assert(!isUdpTo({ ...summary, protocol: 6 }, 51_820));
});

test("packets that contain a byte string are counted, wherever it stands", () => {
  const packets = ["aabbcc", "00aabb", "aa00bb", ""].map((bytes) => ({ bytes: hex(bytes) }));
  assert.equal(countContaining(packets, hex("aabb")), 2);
});

/** From 192.168.1.100:40000 to 203.0.113.10:51820. */
function udp(payload: Uint8Array): Uint8Array {
  const be16 = (value: number) => value.toString(16).padStart(4, "0");
  const ip = `4500${be16(28 + payload.length)} 00004000 40110000 c0a80164 cb00710a`;
  return hex(`${ip} 9c40ca6c ${be16(8 + payload.length)}0000 ${toHex(payload)}`);
}

function hex(text: string): Uint8Array {
  const bytes = fromHex(text.replaceAll(" ", ""));
  assert(bytes !== undefined);
  return bytes;
}
