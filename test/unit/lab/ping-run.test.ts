import assert from "node:assert/strict";
import { test } from "node:test";
import { parseReplies } from "../../../src/lab/ping-run.ts";

test("replies are read out of what iputils prints, of either family, and nothing else is", () => {
  const output = [
    "PATTERN: 0x0011",
    "PING 8.8.8.8 (8.8.8.8) 56(84) bytes of data.",
    "64 bytes from 8.8.8.8: icmp_seq=1 ttl=62 time=0.415 ms",
    "From 10.8.0.1 icmp_seq=2 Destination Net Unreachable",
    "64 bytes from 2001:4860:4860::8888: icmp_seq=3 ttl=62 time=12 ms",
    "64 bytes from 8.8.8.8: icmp_seq=3 ttl=62 time=0.4 ms (DUP!)",
    "3 packets transmitted, 2 received, 33% packet loss, time 405ms",
  ].join("\n");
  assert.deepEqual(parseReplies(output), [
    { from: "8.8.8.8", sequence: 1, bytes: 64, milliseconds: 0.415 },
    { from: "2001:4860:4860::8888", sequence: 3, bytes: 64, milliseconds: 12 },
  ]);
});

test("replies are read out of what our own ping prints", () => {
  assert.deepEqual(parseReplies("64 bytes from 8.8.8.8: icmp_seq=2 time=1.752 ms\n"), [
    { from: "8.8.8.8", sequence: 2, bytes: 64, milliseconds: 1.752 },
  ]);
});
