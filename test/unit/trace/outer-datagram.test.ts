import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { readOuterDatagram } from "../../../src/trace/outer-datagram.ts";
import { Data, Initiation, writeCounter, writeUint32 } from "../../../src/wireguard/messages.ts";

function dataMessage(counter: number, length: number, receiver = 0x1234_5678): Uint8Array {
  const message = new Uint8Array(length).fill(0xee);
  writeUint32(message, 0, Data.type);
  writeUint32(message, Data.receiver, receiver);
  writeCounter(message, Data.counter, counter);
  return message;
}

/** An IPv4 or IPv6 packet with a UDP datagram from port 5001 to 5002. */
function datagram(payload: Uint8Array, family: 4 | 6 = 4, protocol = 17): Uint8Array {
  const header = new Uint8Array(family === 4 ? 20 : 40);
  const udp = new Uint8Array(8);
  const view = new DataView(udp.buffer);
  view.setUint16(0, 5001);
  view.setUint16(2, 5002);
  view.setUint16(4, 8 + payload.length);
  const ip = new DataView(header.buffer);
  if (family === 4) {
    header.set([0x45]);
    ip.setUint16(2, 28 + payload.length);
    header[9] = protocol;
    header.set([192, 0, 2, 1, 192, 0, 2, 2], 12);
  } else {
    header.set([0x60]);
    ip.setUint16(4, 8 + payload.length);
    header[6] = protocol;
    header.set([0x20, 1, 0x0d, 0xb8], 8);
    header[39] = 1;
  }
  return concatBytes(header, udp, payload);
}

const read = (packet: Uint8Array) => readOuterDatagram(packet, packet.length);

test("a data message tells whom it is for, and its number", () => {
  assert.deepEqual(read(datagram(dataMessage(7, 128))), {
    source: "192.0.2.1:5001",
    destination: "192.0.2.2:5002",
    headerBytes: 28,
    messages: [{ kind: "data", length: 128, receiver: 0x1234_5678, counter: 7 }],
    others: 0,
  });
});

test("over IPv6 the addresses stand in brackets", () => {
  const found = read(datagram(dataMessage(7, 128), 6));
  assert.deepEqual([found?.source, found?.destination], ["[2001:db8::]:5001", "[::1]:5002"]);
  assert.equal(found?.headerBytes, 48);
});

test("a message of 32 bytes is a keepalive", () => {
  assert.equal(read(datagram(dataMessage(7, 32)))?.messages[0].kind, "keepalive");
});

for (const length of [128, 1452]) {
  test(`messages of ${length} bytes that were sent with one call are told apart, the last may be shorter`, () => {
    const lengths = [length, length, length, 48];
    const payload = concatBytes(...lengths.map((size, i) => dataMessage(40 + i, size)));
    const messages = read(datagram(payload))?.messages ?? [];
    assert.deepEqual(
      messages.map(({ length: size, counter }) => [size, counter]),
      lengths.map((size, i) => [size, 40 + i]),
    );
  });
}

test("a message that contains what begins another, but not the next, is one", () => {
  for (const stranger of [dataMessage(40, 48), dataMessage(42, 48), dataMessage(41, 48, 7)]) {
    const message = dataMessage(40, 128);
    message.set(stranger, 64);
    assert.deepEqual(
      read(datagram(message))?.messages.map(({ length }) => length),
      [128],
    );
  }
});

test("of more than a few messages in one packet none is told from the other", () => {
  const payload = concatBytes(...Array.from({ length: 20 }, (_, i) => dataMessage(i, 128)));
  const found = read(datagram(payload));
  assert.deepEqual([found?.messages, found?.others], [[], 20]);
});

test("of a packet that was cut off, the length counts that it had", () => {
  const packet = datagram(dataMessage(9, 1452));
  assert.deepEqual(readOuterDatagram(packet.subarray(0, 100), packet.length)?.messages, [
    { kind: "data", length: 1452, receiver: 0x1234_5678, counter: 9 },
  ]);
});

test("a handshake is known by its type and length", () => {
  const initiation = new Uint8Array(Initiation.size).fill(1);
  writeUint32(initiation, 0, Initiation.type);
  const [message] = read(datagram(initiation))?.messages ?? [];
  assert.deepEqual(message, { kind: "initiation", length: Initiation.size, receiver: undefined, counter: undefined });
  assert.equal(read(datagram(concatBytes(initiation, Uint8Array.of(0)))), undefined);
});

test("what is no WireGuard message, no UDP or no packet is passed over", () => {
  assert.equal(read(datagram(new Uint8Array(128).fill(9))), undefined);
  assert.equal(read(datagram(dataMessage(1, 128), 4, 6)), undefined);
  assert.equal(read(new Uint8Array(0)), undefined);
  assert.equal(read(Uint8Array.of(0x45, 0, 0, 20)), undefined);
});
