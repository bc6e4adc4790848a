import assert from "node:assert/strict";
import { test } from "node:test";
import { type FirstBytes, tellFirstBytes } from "../../../src/transport/first-bytes.ts";

const frame = (length: number, type: number, ...reserved: number[]) =>
  Uint8Array.of(length >> 8, length & 255, type, ...reserved, 0, 0, 0).subarray(0, 6);

const cases: [what: string, bytes: Uint8Array, told: FirstBytes][] = [
  ["an initiation", frame(148, 1), "frames"],
  ["a response", frame(92, 2), "frames"],
  ["a cookie reply", frame(64, 3), "frames"],
  ["a keepalive", frame(32, 4), "frames"],
  ["a full data message", frame(1452, 4), "frames"],
  ["the largest data message", frame(65_507, 4), "frames"],
  ["data longer than a datagram", frame(65_508, 4), "unknown"],
  ["data too short", frame(31, 4), "unknown"],
  ["an initiation of another length", frame(149, 1), "unknown"],
  ["a response of another length", frame(148, 2), "unknown"],
  ["an unknown type", frame(148, 5), "unknown"],
  ["type 0", frame(148, 0), "unknown"],
  ["reserved bytes in use", frame(148, 1, 0, 1, 0), "unknown"],
  ["a ClientHello, record version 1.0", Uint8Array.of(0x16, 3, 1, 2, 0, 1), "tls"],
  ["a ClientHello, record version 1.2", Uint8Array.of(0x16, 3, 3, 0, 200, 1), "tls"],
  ["data of 5,635 bytes, which begins like TLS", frame(0x1603, 4), "frames"],
  ["TLS, but no ClientHello", Uint8Array.of(0x16, 3, 1, 2, 0, 2), "unknown"],
  ["an alert", Uint8Array.of(0x15, 3, 1, 0, 2, 2), "unknown"],
  ["SSH", Buffer.from("SSH-2.0-x"), "unknown"],
  ["zeros", new Uint8Array(6), "unknown"],
  ...["GET / HTTP/1.1", "POST /x", "HEAD / ", "OPTIONS *", "CONNECT a:1", "PUT /xy", "DELETE /", "PRI * HTTP/2.0"].map(
    (line): [string, Uint8Array, FirstBytes] => [line, Buffer.from(line), "http"],
  ),
  ["a method in small letters", Buffer.from("get / HTTP/1.1"), "unknown"],
];

for (const [what, bytes, told] of cases) {
  test(`${what}: ${told}`, () => assert.equal(tellFirstBytes(bytes), told));
}
