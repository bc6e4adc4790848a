import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint, IpAddress } from "../../../src/base/address.ts";
import {
  decodeEndpoint,
  EndpointRecord,
  encodeEndpoint,
  endpointWords,
  readEndpoint,
  writeEndpoint,
} from "../../../src/dataplane/endpoint-record.ts";
import { PeerRecord } from "../../../src/dataplane/shared-memory.ts";

const local = (address: string) => ({ address: IpAddress.parse(address), device: 0x0102_0304 });

test("endpoints pass through shared memory with their near side, and without", () => {
  const shared = new Int32Array(PeerRecord.size / 4);
  const peer = 0;
  for (const endpoint of [
    Endpoint.parse("192.0.2.1:51820"),
    Endpoint.parse("[2001:db8::1]:1"),
    new Endpoint(IpAddress.parse("192.0.2.1"), 65_535, 0, local("198.51.100.7")),
    new Endpoint(IpAddress.parse("fe80::1"), 9, 7, local("fe80::2:3:4")),
  ]) {
    const words = new Int32Array(encodeEndpoint(endpoint).buffer);
    assert.ok(writeEndpoint(shared, peer, words, 0));
    const found = new Int32Array(endpointWords + 1);
    const version = readEndpoint(shared, peer, found, 1);
    assert.equal(version & 1, 0);
    const decoded = decodeEndpoint(new Uint8Array(found.buffer, 4, EndpointRecord.size));
    assert.deepEqual(decoded, endpoint);
    assert.ok(decoded?.isReachedLike(endpoint));
  }
  assert.equal(decodeEndpoint(new Uint8Array(EndpointRecord.size)), undefined);
});

test("golden bytes of an endpoint of IPv4, spoken to over interface 2", () => {
  const endpoint = new Endpoint(IpAddress.parse("192.0.2.1"), 51_820, 0, {
    address: IpAddress.parse("198.51.100.7"),
    device: 2,
  });
  const expected = new Uint8Array(52);
  expected.set([16, 0, 0, 0, 2, 0, 0xca, 0x6c, 192, 0, 2, 1]);
  expected.set([2, 0, 0, 0, 198, 51, 100, 7], 32);
  assert.deepEqual(encodeEndpoint(endpoint), expected);
});

test("while one thread writes, another does not", () => {
  const shared = new Int32Array(PeerRecord.size / 4);
  shared[PeerRecord.endpointVersion / 4] = 3;
  assert.equal(writeEndpoint(shared, 0, new Int32Array(endpointWords), 0), false);
  assert.equal(shared[PeerRecord.endpointVersion / 4], 3);
});
