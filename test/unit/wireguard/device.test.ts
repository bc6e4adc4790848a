import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { VpnError } from "../../../src/base/errors.ts";
import { PrivateKey, PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { idleActivity } from "../../../src/wireguard/activity.ts";
import { KeepaliveTimeout } from "../../../src/wireguard/constants.ts";
import { Device } from "../../../src/wireguard/device.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { workMs } from "../../work-time.ts";

const endpoint = Endpoint.parse("192.0.2.1:51820");
const key = (n: number) => new PrivateKey(new Uint8Array(32).fill(n));
const publicKey = (n: number) => new PublicKey(native.publicKey(key(n).bytes));

function makeDevice(n: number, maximumPeers?: number): Device {
  const random = new SeededRandom(n);
  const device = new Device({
    primitives: native,
    random: (length) => random.bytes(length),
    wallClock: () => 1_750_000_000_000,
    ...(maximumPeers === undefined ? {} : { maximumPeers }),
  });
  device.setPrivateKey(1, key(n));
  return device;
}

function throwsCode(code: string, action: () => unknown): void {
  assert.throws(action, (error) => error instanceof VpnError && error.code === code);
}

/** Alice's device with a session to Bob's, made by handing outputs over. */
function connected(options: { activity?: ReturnType<typeof idleActivity> } = {}) {
  const [alice, bob] = [makeDevice(1), makeDevice(2)];
  const peer = alice.addPeer(1_000, { id: 0, publicKey: publicKey(2), endpoint, ...options });
  bob.addPeer(1_000, { id: 0, publicKey: publicKey(1) });
  alice.freshen(1_000, peer);
  for (const [from, to] of [
    [alice, bob],
    [bob, alice],
  ]) {
    for (const output of from.drain()) {
      if (output.kind === "transmit") assert.equal(to.receive(1_000, output.message, endpoint), undefined);
    }
  }
  return { alice, bob, peer };
}

test("peers are told apart by key and id; our own key is refused", () => {
  const device = makeDevice(1, 2);
  const peer = device.addPeer(1, { id: 4, publicKey: publicKey(2) });
  assert.equal(device.peer(publicKey(2)), peer);
  assert.equal(device.peerById(4), peer);
  throwsCode("invalid-argument", () => device.addPeer(1, { id: 5, publicKey: publicKey(2) }));
  throwsCode("invalid-argument", () => device.addPeer(1, { id: 4, publicKey: publicKey(3) }));
  throwsCode("invalid-argument", () => device.addPeer(1, { id: -1, publicKey: publicKey(3) }));
  throwsCode("invalid-configuration", () => device.addPeer(1, { id: 5, publicKey: publicKey(1) }));
  device.addPeer(1, { id: 5, publicKey: publicKey(3) });
  throwsCode("not-available", () => device.addPeer(1, { id: 6, publicKey: publicKey(4) }));
  device.removePeer(1, peer);
  assert.deepEqual(
    [...device.peers].map(({ id }) => id),
    [5],
  );
  device.setPrivateKey(1, key(3));
  assert.deepEqual([...device.peers], [], "the peer whose key became ours is gone");
});

test("without a private key it answers nobody and asks for nothing", () => {
  const { alice, peer } = connected();
  const other = makeDevice(2);
  other.setPrivateKey(1, undefined);
  alice.freshen(20_000, peer);
  other.addPeer(1, { id: 0, publicKey: publicKey(1), endpoint, persistentKeepaliveMs: 1_000 });
  other.expire(1_000);
  assert.deepEqual(other.drain(), []);
  const initiation = alice.drain().find(({ kind }) => kind === "transmit");
  assert.ok(initiation?.kind === "transmit");
  assert.equal(other.receive(20_000, initiation.message, endpoint), "mac1-invalid");
});

test("outputs come in an order in which they can be carried out", () => {
  const { alice } = connected();
  assert.deepEqual(
    alice.drain().map(({ kind }) => kind),
    ["keypair-added", "keypair-selected", "handshake-completed", "seal"],
  );
  assert.deepEqual(alice.drain(), []);
});

test("what the data path found old before the last handshake does not bring about another", () => {
  const { alice, peer } = connected();
  alice.drain();
  alice.freshen(1_010, peer);
  assert.deepEqual(alice.drain(), []);
  alice.expire(7_000);
  assert.deepEqual(alice.drain(), []);
});

test("a packet that comes when there is a session after all is sealed, not staged", () => {
  const { alice, peer } = connected();
  alice.drain();
  const packet = new Uint8Array(20);
  assert.equal(alice.send(1_010, peer, packet), undefined);
  assert.deepEqual(alice.drain(), [{ kind: "seal", peer, packet }]);
});

test("with stamps that others write, a deadline is never further away than a stamp unseen could make it", () => {
  const activity = idleActivity();
  const { alice } = connected({ activity });
  alice.expire(30_000);
  assert.equal(alice.nextDeadline(), 30_000 + KeepaliveTimeout);
  activity.unacknowledgedSince = 30_001; // a worker received data
  alice.expire(40_000);
  assert.equal(alice.nextDeadline(), 30_001 + KeepaliveTimeout);
  alice.drain();
  alice.expire(40_001);
  assert.deepEqual(
    alice.drain().map(({ kind }) => kind),
    ["seal"],
  );
  assert.equal(activity.unacknowledgedSince, 0);
});

test("a persistent keepalive is asked for once, though that it was sent shows only later", () => {
  const activity = idleActivity();
  const { alice, peer } = connected({ activity });
  peer.setPersistentKeepalive(1_000, 25_000);
  alice.drain();
  alice.expire(26_000);
  alice.expire(26_001);
  assert.deepEqual(
    alice.drain().map(({ kind }) => kind),
    ["seal"],
  );
});

test("only a keypair that waits for confirmation is confirmed", () => {
  const { alice, peer } = connected();
  alice.drain();
  const current = peer.current ?? assert.fail();
  alice.confirm(1_010, current.localIndex);
  alice.confirm(1_010, current.localIndex ^ 1);
  assert.equal(peer.current, current);
  assert.deepEqual(alice.drain(), []);
});

test("keys that are erased are first deselected, then removed", () => {
  const { alice, peer } = connected();
  alice.drain();
  const keypair = peer.current ?? assert.fail();
  alice.expire(1_000 + 540_000);
  assert.deepEqual(
    alice.drain().filter(({ kind }) => kind.startsWith("keypair")),
    [
      { kind: "keypair-selected", peer, keypair: undefined },
      { kind: "keypair-removed", peer, keypair },
    ],
  );
});

test("ten thousand idle peers are not looked at", () => {
  const device = makeDevice(1);
  const random = new SeededRandom(9);
  for (let id = 0; id < 10_000; id++) device.addPeer(1, { id, publicKey: new PublicKey(random.bytes(32)), endpoint });
  device.nextDeadline();
  const startedAt = workMs();
  for (let i = 0; i < 10_000; i++) assert.equal(device.nextDeadline(), undefined);
  assert.ok(workMs() - startedAt < 100);
});

test("garbage of every length and type is dropped with a reason", () => {
  const device = makeDevice(1);
  const random = new SeededRandom(4);
  for (let i = 0; i < 2_000; i++) {
    const message = random.bytes([148, 92, 64, random.next() % 200][i % 4]);
    message.set([1 + (i % 5), 0, 0, 0].slice(0, message.length));
    assert.equal(typeof device.receive(1_000, message, endpoint), "string");
  }
  assert.deepEqual(device.drain(), []);
});
