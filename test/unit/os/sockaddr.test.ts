import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { toHex } from "../../../src/base/bytes.ts";
import { decodeSockaddr, encodeSockaddr, sockaddrOf } from "../../../src/os/sockaddr.ts";

const v4 = Endpoint.parse("192.0.2.1:51820");
const v6 = new Endpoint(Endpoint.parse("[fe80::1]:1").address, 443, 7);

test("an IPv4 endpoint is a sockaddr_in", () => {
  assert.equal(toHex(sockaddrOf(v4)), "0200ca6cc00002010000000000000000");
});

test("an IPv6 endpoint is a sockaddr_in6 with its scope", () => {
  assert.equal(toHex(sockaddrOf(v6)), "0a0001bb00000000fe80000000000000000000000000000107000000");
});

test("encoding overwrites every byte it takes, at an offset, and none besides", () => {
  for (const endpoint of [v4, v6]) {
    const bytes = new Uint8Array(40).fill(0xa5);
    const length = encodeSockaddr(endpoint, bytes, 4);
    assert.equal(toHex(bytes.subarray(4, 4 + length)), toHex(sockaddrOf(endpoint)));
    assert.ok([...bytes.subarray(0, 4), ...bytes.subarray(4 + length)].every((byte) => byte === 0xa5));
    assert.ok(decodeSockaddr(bytes, 4)?.equals(endpoint));
  }
});

test("an unknown family and too few bytes decode to nothing", () => {
  assert.equal(decodeSockaddr(new Uint8Array(28)), undefined);
  assert.equal(decodeSockaddr(sockaddrOf(v4).subarray(0, 15)), undefined);
  assert.equal(decodeSockaddr(sockaddrOf(v6).subarray(0, 27)), undefined);
});
