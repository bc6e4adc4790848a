import assert from "node:assert/strict";
import { test } from "node:test";
import { reassembleStreams } from "../../../src/lab/stream-reassembly.ts";
import { ascii, ipv4Packet, type Segment, tcpPacket } from "./lab-packets.ts";

const SYN = 0x02;
const streamsOf = (...segments: Segment[]) => reassembleStreams(segments.map(tcpPacket));
const textOf = (...segments: Segment[]) => streamsOf(...segments).map(({ bytes }) => Buffer.from(bytes).toString());

test("segments are put where their numbers say, whatever the order they came in", () => {
  const hello = { sequence: 101, bytes: ascii("hello ") };
  const world = { sequence: 107, bytes: ascii("world") };
  assert.deepEqual(textOf({ sequence: 100, flags: SYN }, world, hello), ["hello world"]);
});

test("what was sent again counts as repeated and is there once", () => {
  const [stream] = streamsOf(
    { sequence: 100, flags: SYN },
    { sequence: 101, bytes: ascii("abcd") },
    { sequence: 101, bytes: ascii("abcd") },
    { sequence: 103, bytes: ascii("cdef") },
    { sequence: 102, bytes: ascii("bc") },
    { sequence: 100, bytes: ascii("?") }, // a keep-alive probe
  );
  assert.equal(Buffer.from(stream.bytes).toString(), "abcdef");
  assert.deepEqual([stream.segments, stream.repeated], [5, 3]);
});

test("a piece that came early is covered by a longer one that came later", () => {
  const early = { sequence: 103, bytes: ascii("cd") };
  assert.deepEqual(textOf({ sequence: 100, flags: SYN }, early, { sequence: 101, bytes: ascii("abcdef") }), ["abcdef"]);
});

test("a stream ends at the first gap", () => {
  const lost = { sequence: 109, bytes: ascii("after the gap") };
  assert.deepEqual(textOf({ sequence: 100, flags: SYN }, { sequence: 101, bytes: ascii("before") }, lost), ["before"]);
});

test("a connection that began before the capture starts with the first segment seen", () => {
  assert.deepEqual(textOf({ sequence: 5000, bytes: ascii("mid") }, { sequence: 5003, bytes: ascii("way") }), [
    "midway",
  ]);
});

test("sequence numbers pass through zero", () => {
  const segments = [
    { sequence: 0xffff_fffd, flags: SYN },
    { sequence: 0, bytes: ascii("cd") },
    { sequence: 0xffff_fffe, bytes: ascii("ab") },
  ];
  assert.deepEqual(textOf(...segments), ["abcd"]);
});

test("each direction and each connection is a stream of its own; what is no TCP, or has no bytes, is none", () => {
  const packets = [
    ipv4Packet(17, new Uint8Array(40)),
    ipv4Packet(6, new Uint8Array(19)),
    Uint8Array.of(0xff),
    tcpPacket({ sequence: 1, sourcePort: 1 }),
    tcpPacket({ sequence: 1, sourcePort: 2, bytes: ascii("two") }),
    tcpPacket({ sequence: 1, sourcePort: 3, bytes: ascii("three") }),
  ];
  const streams = reassembleStreams(packets);
  assert.deepEqual(
    streams.map(({ source, sourcePort, destination, destinationPort }) => [
      source,
      sourcePort,
      destination,
      destinationPort,
    ]),
    [
      ["10.8.0.2", 2, "8.8.8.8", 80],
      ["10.8.0.2", 3, "8.8.8.8", 80],
    ],
  );
});
