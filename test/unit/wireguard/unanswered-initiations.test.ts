import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { PrivateKey, PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { Device } from "../../../src/wireguard/device.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

const endpoints = [1, 2].map((n) => Endpoint.parse(`192.0.2.${n}:51820`));
const publicKeys = [1, 2].map((n) => new PublicKey(native.publicKey(new Uint8Array(32).fill(n))));

/** A device and its one peer. */
function makeSide(self: 0 | 1) {
  const random = new SeededRandom(self + 1);
  const wallClock = () => 1_750_000_000_000;
  const device = new Device({ primitives: native, random: (length) => random.bytes(length), wallClock });
  device.setPrivateKey(1, new PrivateKey(new Uint8Array(32).fill(self + 1)));
  const peer = device.addPeer(1, { id: 0, publicKey: publicKeys[1 - self], endpoint: endpoints[1 - self] });
  const sent = () => device.drain().flatMap((output) => (output.kind === "transmit" ? [output.message] : []));
  return { device, peer, sent };
}

test("initiations are counted until a handshake is completed", () => {
  const [alice, bob] = [makeSide(0), makeSide(1)];
  assert.equal(alice.peer.unansweredInitiations, 0);
  let now = 1000;
  alice.device.freshen(now, alice.peer);
  for (let i = 0; i < 2; i++) {
    now += 6000;
    alice.device.expire(now);
  }
  assert.equal(alice.peer.unansweredInitiations, 3);
  const initiation = alice.sent().at(-1);
  assert.ok(initiation !== undefined);
  assert.equal(bob.device.receive(now, initiation, endpoints[0]), undefined);
  const [response] = bob.sent();
  assert.equal(alice.device.receive(now, response, endpoints[1]), undefined);
  assert.equal(alice.peer.unansweredInitiations, 0);
});

test("what was not answered is forgotten with the interface that goes down", () => {
  const { device, peer } = makeSide(0);
  device.freshen(1000, peer);
  assert.equal(peer.unansweredInitiations, 1);
  device.stop(2000);
  assert.equal(peer.unansweredInitiations, 0);
});
