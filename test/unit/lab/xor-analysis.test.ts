import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { applyKey, countBytes, keyFromFirstByte, readPackets, tryEveryKey } from "../../../src/lab/xor-analysis.ts";
import { ascii, ipv4Packet, tcpPacket } from "./lab-packets.ts";

const packets = [
  ipv4Packet(1, new Uint8Array(64)),
  tcpPacket({ sequence: 1, bytes: ascii("GET / HTTP/1.1\r\n\r\n") }),
  ipv4Packet(1, new Uint8Array(64)),
];
const plain = concatBytes(...packets);

test("the commonest byte stands first, of equally common ones the lowest", () => {
  assert.deepEqual(countBytes(Uint8Array.of(7, 9, 7, 8)).slice(0, 4), [
    { byte: 7, count: 2 },
    { byte: 8, count: 1 },
    { byte: 9, count: 1 },
    { byte: 0, count: 0 },
  ]);
});

test("whatever the key byte, statistics, the first byte and the checksums all name it", () => {
  for (const key of [0x42, 0x00, 0x45, 0xff]) {
    const stream = applyKey(plain, key);
    assert.equal(countBytes(stream)[0].byte, key);
    assert.equal(keyFromFirstByte(stream), key);
    const [best, second] = tryEveryKey(stream);
    assert.deepEqual([best.key, best.explained, second.explained], [key, plain.length, 0]);
    assert.deepEqual(best.packets, packets);
  }
});

test("a packet whose header checksum does not hold is read past, and explains nothing", () => {
  const [first, second, third] = packets.map(({ length }) => length);
  const bytes = Uint8Array.from(plain);
  bytes[first + 8] = 63; // its time to live
  const reading = readPackets(bytes, 0);
  assert.deepEqual([reading.packets.length, reading.sound.length], [3, 2]);
  assert.equal(reading.explained, plain.length - second);
  assert.equal(reading.explained, first + third);
});

test("reading ends where there is no IPv4 header, a length lies, or a packet is cut off", () => {
  const first = packets[0].length;
  const at = (offset: number, value: number) => {
    const bytes = Uint8Array.from(plain);
    bytes[first + offset] = value;
    return readPackets(bytes, 0).packets.length;
  };
  assert.equal(at(0, 0x65), 1, "not IPv4");
  assert.equal(at(0, 0x44), 1, "a header of four words");
  assert.equal(at(2, 0xff), 1, "longer than the stream");
  assert.equal(readPackets(plain.subarray(0, plain.length - 1), 0).packets.length, 2);
  const noLength = Uint8Array.from(plain.subarray(0, 20));
  for (const length of [0, 19]) {
    noLength.set([0, length], 2);
    assert.equal(readPackets(noLength, 0).packets.length, 0, `${length} bytes, shorter than a header`);
  }
});
