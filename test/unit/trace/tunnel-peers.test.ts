import assert from "node:assert/strict";
import { test } from "node:test";
import type { PeerDescription } from "../../../src/api/control-client.ts";
import { TunnelPeers } from "../../../src/trace/tunnel-peers.ts";

function peer(publicKey: string, endpoint: string | undefined, ...allowedIps: string[]): PeerDescription {
  return {
    publicKey,
    hasPresharedKey: false,
    endpoint,
    latestHandshakeAt: undefined,
    receivedBytes: 0,
    sentBytes: 0,
    persistentKeepaliveSeconds: 0,
    allowedIps,
  };
}

const peers = new TunnelPeers({
  name: "wg0",
  publicKey: undefined,
  listenPort: 51_820,
  mark: 0,
  peers: [
    peer("a", "192.0.2.1:1", "0.0.0.0/0", "10.0.0.0/8", "::/0"),
    peer("b", undefined, "10.1.0.0/16", "fd00::/8"),
    peer("c", "[fe80::1%2]:3", "10.1.2.3/32"),
  ],
});

const choices: [address: string, publicKey: string, allowedIp: string][] = [
  ["8.8.8.8", "a", "0.0.0.0/0"],
  ["10.2.0.1", "a", "10.0.0.0/8"],
  ["10.1.0.1", "b", "10.1.0.0/16"],
  ["10.1.2.3", "c", "10.1.2.3/32"],
  ["2001:db8::1", "a", "::/0"],
  ["fd12::1", "b", "fd00::/8"],
];
for (const [address, publicKey, allowedIp] of choices) {
  test(`${address} is ${publicKey}'s, by ${allowedIp}`, () => {
    const choice = peers.choose(address);
    assert.deepEqual([choice?.publicKey, choice?.allowedIp], [publicKey, allowedIp]);
  });
}

test("an endpoint is as packets show it, without its interface", () => {
  assert.equal(peers.endpointOf("10.1.2.3"), "[fe80::1]:3");
  assert.equal(peers.endpointOf("10.1.0.1"), undefined);
  assert.deepEqual(peers.endpoints, ["192.0.2.1:1", "[fe80::1%2]:3"]);
  assert.equal(peers.awaited, true);
});

test("an address that nobody has is nobody's", () => {
  const none = new TunnelPeers({ name: "wg0", publicKey: undefined, listenPort: 0, mark: 0, peers: [] });
  assert.equal(none.choose("10.0.0.1"), undefined);
  assert.equal(none.awaited, false);
  assert.equal(none.endpointOf("fd00::1"), undefined);
});
