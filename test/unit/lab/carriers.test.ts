import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { classicCarrier, wireguardCarrier } from "../../../src/lab/carriers.ts";
import { Protocol } from "../../../src/packet/ip.ts";
import { Data } from "../../../src/wireguard/messages.ts";
import { ascii, ipv4Packet, tcpPacket } from "./lab-packets.ts";

const port = 51_820;
const secret = ascii("a word of the ping's");
const inner = ipv4Packet(Protocol.icmp, concatBytes(new Uint8Array(8), secret)); // 48 bytes: 16 times 3
const odd = ipv4Packet(Protocol.icmp, concatBytes(new Uint8Array(9), secret));

function datagram(message: Uint8Array, destinationPort = port): Uint8Array {
  const header = new Uint8Array(8);
  const view = new DataView(header.buffer);
  view.setUint16(0, 40_000);
  view.setUint16(2, destinationPort);
  view.setUint16(4, header.length + message.length);
  return ipv4Packet(Protocol.udp, concatBytes(header, message));
}

function dataMessage(sealedBytes: number, fill: Uint8Array = new Uint8Array(0)): Uint8Array {
  const message = new Uint8Array(16 + sealedBytes);
  message[0] = Data.type;
  message.set([0x04, 0x03, 0x02, 0x01], Data.receiver);
  message[Data.counter] = 7;
  message.set(fill, Data.payload);
  return message;
}

test("a message carries a packet if its length is that of the packet, padded and sealed", () => {
  const carrier = wireguardCarrier(port);
  const outer = [
    datagram(dataMessage(16)), // a keepalive
    datagram(dataMessage(48 + 16)),
    datagram(dataMessage(64 + 16)),
    datagram(dataMessage(48 + 16), 53),
    ipv4Packet(Protocol.icmp, secret),
  ];
  const found = carrier.find(outer, inner, secret);
  assert.deepEqual(
    found.map(({ packet }) => outer.indexOf(packet)),
    [1],
  );
  assert.deepEqual(found[0].wrapping, {
    kind: "sealed",
    type: 4,
    receiver: 0x0102_0304,
    counter: 7,
    packetBytes: 48,
    paddingBytes: 0,
    headerBytes: 16,
    tagBytes: 16,
    messageBytes: 80,
    showingPayload: 0,
  });
  assert.deepEqual(
    carrier
      .find(outer, odd, secret)
      .map(({ packet, wrapping }) => [outer.indexOf(packet), wrapping.kind === "sealed" && wrapping.paddingBytes]),
    [[2, 15]],
  );
});

test("a message in which the payload shows is told", () => {
  const [{ wrapping }] = wireguardCarrier(port).find([datagram(dataMessage(64, secret))], inner, secret);
  assert(wrapping.kind === "sealed");
  assert.equal(wrapping.showingPayload, 1);
});

test("a segment carries a packet if it is that packet, every byte XORed with the same one", () => {
  const carrier = classicCarrier(5555);
  const segment = (bytes: Uint8Array) => tcpPacket({ sequence: 1, bytes, destinationPort: 5555 });
  const xored = inner.map((byte) => byte ^ 0x42);
  const spoilt = xored.slice();
  spoilt[20] ^= 1;
  const outer = [segment(new Uint8Array(0)), segment(spoilt), segment(xored), segment(concatBytes(xored, xored))];
  const found = carrier.find(outer, inner, secret);
  assert.deepEqual(
    found.map(({ packet, wrapping }) => [outer.indexOf(packet), wrapping]),
    [[2, { kind: "xored", packetBytes: 48, streamBytes: 48, key: 0x42 }]],
  );
  assert.deepEqual(carrier.payloadOf(outer[2]), xored);
});

test("what is not the tunnel's carries nothing", () => {
  const strangers = [new Uint8Array(0), ipv4Packet(Protocol.icmp, secret), ipv4Packet(Protocol.tcp, secret)];
  for (const carrier of [wireguardCarrier(port), classicCarrier(5555)]) {
    for (const packet of strangers) assert.equal(carrier.payloadOf(packet), undefined);
    assert.deepEqual(carrier.find(strangers, inner, secret), []);
  }
});
