import assert from "node:assert/strict";
import { test } from "node:test";
import { IpAddress } from "../../../src/base/address.ts";
import { makeEchoRequest } from "../../../src/lab/echo-request.ts";
import { dissect } from "../../../src/packet/dissection.ts";

test("a ping made by hand has right checksums, lengths and addresses", () => {
  const [source, destination] = ["10.8.0.2", "10.8.0.1"].map(IpAddress.parse);
  const packet = makeEchoRequest(
    source,
    destination,
    7,
    Uint8Array.from({ length: 55 }, (_, i) => i),
  );
  const meaning = (layer: string, name: string) =>
    dissect(packet).find((field) => field.layer === layer && field.name === name)?.value;
  assert.equal(packet.length, 83);
  assert.equal(meaning("IPv4", "total length"), "83 bytes");
  assert.match(meaning("IPv4", "header checksum") ?? "", /, right$/);
  assert.equal(meaning("IPv4", "source"), "10.8.0.2");
  assert.equal(meaning("IPv4", "destination"), "10.8.0.1");
  assert.equal(meaning("ICMP", "type"), "8 (echo request)");
  assert.match(meaning("ICMP", "checksum") ?? "", /, right$/);
  assert.equal(meaning("ICMP", "sequence number"), "7");
});
