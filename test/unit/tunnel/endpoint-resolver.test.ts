import assert from "node:assert/strict";
import { test } from "node:test";
import { readHosts, readResolvers } from "../../../src/tunnel/endpoint-resolver.ts";

test("hosts(5) names addresses, several names to a line, with comments and in any case", () => {
  const text =
    "127.0.0.1 localhost\n192.0.2.7\tVPN.example.org vpn # ours\n2001:db8::7 vpn.example.org\n# 192.0.2.8 vpn\nnonsense vpn\n";
  assert.deepEqual(readHosts(text, "vpn.example.org.").map(String), ["192.0.2.7", "2001:db8::7"]);
  assert.deepEqual(readHosts(text, "vpn").map(String), ["192.0.2.7"]);
  assert.deepEqual(readHosts(text, "ours"), []);
  assert.deepEqual(readHosts(text, "192.0.2.7"), []);
});

test("resolv.conf(5) names name servers, and what is none of them is passed over", () => {
  const text =
    "search example.org\nnameserver 192.0.2.53\n nameserver\t2001:db8::53\n#nameserver 192.0.2.54\nnameserver fe80::1%lo\nnameserver 300.1.1.1\noptions edns0\n";
  assert.deepEqual(readResolvers(text).map(String), ["192.0.2.53:53", "[2001:db8::53]:53", "[fe80::1%1]:53"]);
});
