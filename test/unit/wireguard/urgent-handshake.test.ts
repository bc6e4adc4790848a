import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { PrivateKey, PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { Device } from "../../../src/wireguard/device.ts";
import { Initiation, messageType } from "../../../src/wireguard/messages.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

function makeDevice(n: number): Device {
  const random = new SeededRandom(n);
  const wallClock = () => 1_750_000_000_000;
  const device = new Device({ primitives: native, random: (length) => random.bytes(length), wallClock });
  device.setPrivateKey(1, new PrivateKey(new Uint8Array(32).fill(n)));
  return device;
}

const endpoint = Endpoint.parse("192.0.2.1:51820");
const initiations = (device: Device) =>
  device.drain().filter((output) => output.kind === "transmit" && messageType(output.message) === Initiation.type)
    .length;

test("an urgent handshake does not wait for the one under way, but for a second", () => {
  const alice = makeDevice(1);
  const bob = new PublicKey(native.publicKey(new Uint8Array(32).fill(2)));
  const peer = alice.addPeer(1, { id: 0, publicKey: bob, endpoint });
  assert.equal(peer.isShakingHands, false);
  alice.freshen(1_000, peer);
  assert.equal(initiations(alice), 1);
  assert.equal(peer.isShakingHands, true);
  alice.freshen(2_500, peer);
  assert.equal(initiations(alice), 0, "without urgency it waits");
  assert.equal(alice.shakeHands(1_999, peer), false);
  assert.equal(initiations(alice), 0);
  assert.equal(alice.shakeHands(2_000, peer), true);
  assert.equal(initiations(alice), 1);
  alice.expire(6_500); // the first one's timeout has given way to the second's
  assert.equal(initiations(alice), 0);
  alice.expire(7_500);
  assert.equal(initiations(alice), 1);
});
