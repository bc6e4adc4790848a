import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import { PrivateKey } from "../../src/base/keys.ts";
import { KeepaliveTimeout, RekeyTimeout, RekeyTimeoutJitterMax } from "../../src/wireguard/constants.ts";
import { Pair } from "./pair.ts";

const local = { address: IpAddress.parse("192.0.2.1"), device: 2 };
const spokenTo = (endpoint: Endpoint) => new Endpoint(endpoint.address, endpoint.port, endpoint.scope, local);

test("an interface that goes down forgets its sessions and all that waits, and is silent", () => {
  const pair = new Pair();
  pair.connect();
  const { alice, bob } = pair;
  pair.loses = ({ type }) => type !== 4;
  alice.device.shakeHands(pair.now + RekeyTimeout, alice.peer);
  alice.device.stop(pair.now);
  pair.drive(0);
  assert.deepEqual([alice.peer.current, alice.peer.keyring.previous, alice.peer.staged], [undefined, undefined, 0]);
  const seen = pair.seen.length;
  pair.send(alice);
  assert.equal(pair.inject(alice, pair.sent(bob, 2)[0].message, bob.endpoint), "interface-down");
  alice.device.freshen(pair.now, alice.peer);
  alice.peer.setPersistentKeepalive(pair.now, 1000);
  assert.equal(alice.device.nextDeadline(), undefined);
  pair.drive(60_000);
  assert.deepEqual(
    pair.seen.slice(seen).filter(({ from }) => from === "alice"),
    [],
  );
});

test("an interface that comes up greets those whom it keeps alive at once, and sends what waited meanwhile", () => {
  for (const interval of [25_000, undefined]) {
    const pair = new Pair();
    pair.connect();
    const { alice, bob } = pair;
    alice.peer.setPersistentKeepalive(pair.now, interval);
    alice.device.stop(pair.now);
    pair.drive(60_000);
    const [initiations, delivered] = [pair.sent(alice, 1).length, bob.delivered.length];
    if (interval === undefined) pair.send(alice);
    alice.device.start(pair.now);
    alice.device.start(pair.now);
    pair.drive(100);
    assert.equal(pair.sent(alice, 1).length, initiations + 1);
    assert.equal(bob.delivered.length, delivered + (interval === undefined ? 1 : 0));
  }
});

test("what waits for a private key is sent when there is one", () => {
  const pair = new Pair();
  const { alice, bob } = pair;
  const key = new PrivateKey((alice.device.privateKey ?? assert.fail()).bytes);
  alice.device.setPrivateKey(pair.now, undefined);
  pair.send(alice);
  pair.drive(10_000);
  assert.equal(pair.sent(alice, 1).length, 0);
  alice.device.setPrivateKey(pair.now, key);
  pair.drive(100);
  assert.equal(bob.delivered.length, 1);
});

test("another private key ends the sessions, but loses nothing that waits for one", () => {
  const pair = new Pair();
  const { alice, bob } = pair;
  pair.connect();
  pair.loses = () => true;
  alice.device.stop(pair.now); // so that there is something to wait for
  alice.device.start(pair.now);
  pair.drive(0);
  pair.send(alice);
  const [was] = bob.device.peers;
  alice.device.setPrivateKey(pair.now, new PrivateKey(new Uint8Array(32).fill(9)));
  bob.device.removePeer(pair.now, was);
  const id = was.id + 1;
  bob.device.addPeer(pair.now, { id, publicKey: alice.publicKey });
  bob.allowedIps.insert(Cidr.parse(`${alice.inner4}`), id);
  pair.loses = () => false;
  pair.drive(6000);
  assert.equal(bob.delivered.length, 2);
});

test("where a peer spoke to is forgotten when it does not answer, and learned again with its next message", () => {
  const pair = new Pair();
  pair.connect();
  const { alice } = pair;
  const learn = () => alice.device.roam(pair.now, alice.peer, spokenTo(pair.bob.endpoint));
  const known = () => alice.peer.endpoint?.local;
  learn();
  assert.deepEqual(known(), local);
  pair.loses = () => true;
  pair.send(alice);
  pair.drive(KeepaliveTimeout + RekeyTimeout - 1);
  assert.deepEqual(known(), local, "one silence is no reason yet");
  pair.drive(RekeyTimeoutJitterMax + 1);
  assert.equal(known(), undefined);
  learn();
  pair.drive(RekeyTimeout + RekeyTimeoutJitterMax);
  assert.equal(known(), undefined, "nor was the handshake answered");
});

test("an endpoint that is configured has no near side, and where it is the same place, nothing begins anew", () => {
  const pair = new Pair();
  const { alice, bob } = pair;
  pair.loses = () => true;
  pair.send(alice);
  alice.device.roam(pair.now, alice.peer, spokenTo(bob.endpoint));
  alice.device.setEndpoint(pair.now, alice.peer, bob.endpoint);
  assert.equal(alice.peer.endpoint?.local, undefined);
  pair.drive(1000);
  assert.equal(pair.sent(alice, 1).length, 1);
  alice.device.setEndpoint(pair.now, alice.peer, Endpoint.parse("198.51.100.9:9"));
  pair.drive(0);
  assert.equal(pair.sent(alice, 1).length, 2, "a new place need not wait");
  alice.device.roam(pair.now, alice.peer, spokenTo(bob.endpoint));
  alice.device.forgetLocalAddress(pair.now);
  assert.equal(alice.peer.endpoint?.local, undefined);
  assert.ok(alice.peer.endpoint?.equals(bob.endpoint));
});
