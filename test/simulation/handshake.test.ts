import assert from "node:assert/strict";
import { test } from "node:test";
import { PresharedKey, PrivateKey, PublicKey } from "../../src/base/keys.ts";
import { native } from "../../src/crypto/native.ts";
import { RejectAfterTime, RekeyTimeout, RekeyTimeoutJitterMax } from "../../src/wireguard/constants.ts";
import { CookieJar } from "../../src/wireguard/cookies.ts";
import { ipv6Packet, Pair } from "./pair.ts";
import { SeededRandom } from "./seeded-random.ts";

test("a first packet makes a session and arrives unharmed, and so does its answer", () => {
  const pair = new Pair();
  const packet = pair.packet(pair.alice, 1_000);
  pair.send(pair.alice, packet);
  pair.drive(100);
  assert.deepEqual(pair.bob.delivered, [packet]);
  const answer = ipv6Packet(pair.bob.inner6, pair.alice.inner6, 333);
  pair.send(pair.bob, answer);
  pair.drive(100);
  assert.deepEqual(pair.alice.delivered, [answer]);
  assert.deepEqual(
    pair.seen.map(({ from, type }) => `${from} ${type}`),
    ["alice 1", "bob 2", "alice 4", "bob 4"],
  );
  assert.ok(pair.bob.peer.endpoint?.equals(pair.alice.endpoint), "Bob learnt where Alice is");
});

test("a lost initiation is sent anew after RekeyTimeout and some jitter, with another ephemeral", () => {
  const pair = new Pair();
  pair.loses = ({ type }) => type === 1 && pair.sent(pair.alice, 1).length === 1;
  pair.send(pair.alice);
  pair.drive(6_000);
  const [first, second, ...more] = pair.sent(pair.alice, 1);
  assert.equal(more.length, 0);
  const waited = second.at - first.at;
  assert.ok(waited >= RekeyTimeout && waited <= RekeyTimeout + RekeyTimeoutJitterMax, `waited ${waited} ms`);
  assert.notDeepEqual(first.message.subarray(8, 40), second.message.subarray(8, 40));
  assert.equal(pair.bob.delivered.length, 1);
});

test("a lost response: the initiator asks again, the responder answers anew", () => {
  const pair = new Pair();
  pair.loses = ({ type }) => type === 2 && pair.sent(pair.bob, 2).length === 1;
  pair.send(pair.alice);
  pair.drive(6_000);
  assert.equal(pair.sent(pair.bob, 2).length, 2);
  assert.equal(pair.bob.delivered.length, 1);
  assert.equal(pair.bob.noticed("handshake-completed"), 1);
});

test("a lost first data message: the responder goes on waiting and the next one confirms", () => {
  const pair = new Pair();
  pair.loses = ({ type }) => type === 4 && pair.sent(pair.alice, 4).length === 1;
  pair.send(pair.alice);
  pair.drive(100);
  assert.equal(pair.bob.peer.current, undefined, "nothing proves that Alice has the keys");
  assert.ok(pair.bob.peer.keyring.next);
  pair.send(pair.bob);
  pair.drive(50);
  assert.equal(pair.sent(pair.bob, 4).length, 0, "Bob must not send with an unconfirmed key");
  pair.send(pair.alice);
  pair.drive(100);
  assert.equal(pair.bob.delivered.length, 1);
  assert.equal(pair.alice.delivered.length, 1, "what Bob staged was released");
});

test("an initiator with nothing to send confirms the key with a keepalive at once", () => {
  const pair = new Pair();
  pair.alice.device.freshen(pair.now, pair.alice.peer);
  pair.drive(100);
  const [keepalive] = pair.sent(pair.alice, 4);
  assert.equal(keepalive.message.length, 32);
  assert.ok(pair.bob.peer.current);
  assert.equal(pair.bob.delivered.length, 0);
});

test("both initiate at once: they do not fight, and both packets arrive", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const pair = new Pair({ seed, mutual: true });
    pair.send(pair.alice);
    pair.send(pair.bob);
    pair.drive(17_000);
    assert.equal(pair.alice.delivered.length, 1, `seed ${seed}`);
    assert.equal(pair.bob.delivered.length, 1, `seed ${seed}`);
    // Jitter sets them apart; where it differs by less than the latency they meet again, but seldom twice.
    assert.ok(pair.sent(pair.alice, 1).length + pair.sent(pair.bob, 1).length <= 6, `seed ${seed}`);
  }
});

test("a peer that is not there: twenty initiations, then staged packets are dropped, counted, and it is quiet", () => {
  const pair = new Pair();
  pair.loses = () => true;
  pair.send(pair.alice);
  pair.send(pair.alice);
  pair.drive(300_000);
  const initiations = pair.sent(pair.alice, 1);
  assert.equal(initiations.length, 20);
  const gaps = initiations.slice(1).map(({ at }, i) => at - initiations[i].at);
  assert.ok(gaps.every((gap) => gap >= RekeyTimeout && gap <= RekeyTimeout + RekeyTimeoutJitterMax));
  assert.ok(new Set(gaps).size > 10, "each with a jitter of its own");
  assert.equal(pair.alice.path.drops.get("peer-unreachable"), 2);
  assert.equal(pair.alice.peer.staged, 0);
  pair.loses = () => false;
  pair.send(pair.alice);
  pair.drive(100);
  assert.equal(pair.bob.delivered.length, 1, "a later packet tries again");
});

test("more packets than may wait: the oldest are dropped and counted", () => {
  const pair = new Pair();
  pair.loses = () => true;
  for (let i = 0; i < 130; i++) pair.send(pair.alice, pair.packet(pair.alice, 20 + i));
  assert.equal(pair.alice.peer.staged, 128);
  assert.equal(pair.alice.path.drops.get("staging-full"), 2);
  pair.loses = () => false;
  pair.drive(6_000);
  assert.equal(pair.bob.delivered.length, 128);
  assert.equal(pair.bob.delivered[0].length, 22);
});

test("a preshared key that only one side has: nobody gets a session; put right, it works at the next handshake", () => {
  const key = new PresharedKey(new Uint8Array(32).fill(9));
  const pair = new Pair({ aliceKey: key });
  pair.send(pair.alice);
  pair.drive(100);
  assert.deepEqual(pair.alice.drops, ["handshake-undecryptable"]);
  assert.equal(pair.alice.peer.current, undefined);
  pair.bob.peer.setPresharedKey(key);
  pair.drive(6_000);
  assert.equal(pair.bob.delivered.length, 1);
});

test("the wall clock set back by an hour does not keep the next handshake from being accepted", () => {
  const pair = new Pair();
  pair.connect();
  pair.alice.wallOffset -= 3_600_000;
  pair.drive(RejectAfterTime);
  pair.send(pair.alice);
  pair.drive(100);
  assert.equal(pair.bob.delivered.length, 2);
  assert.deepEqual(pair.bob.drops, []);
});

test("a recorded initiation replayed is refused, also from elsewhere, and moves nothing", () => {
  const pair = new Pair();
  pair.connect();
  const [initiation] = pair.sent(pair.alice, 1);
  pair.drive(1_000);
  const eve = pair.bob.endpoint;
  assert.equal(pair.inject(pair.bob, initiation.message, eve), "handshake-replayed");
  assert.ok(pair.bob.peer.endpoint?.equals(pair.alice.endpoint));
  assert.equal(pair.sent(pair.bob, 2).length, 1);
});

test("initiations of one peer closer than 20 ms are a flood", () => {
  const pair = new Pair();
  pair.latencyMs = 0;
  pair.connect();
  const elsewhere = pair.bob.endpoint;
  pair.alice.wallOffset += 1_000;
  pair.loses = () => true;
  const initiation = () => {
    pair.alice.wallOffset += 1_000;
    pair.alice.device.setPrivateKey(pair.now, undefined);
    pair.alice.device.setPrivateKey(pair.now, aliceKey);
    pair.drive(0);
    pair.send(pair.alice);
    return pair.sent(pair.alice, 1).at(-1)?.message ?? assert.fail();
  };
  const { aliceKey } = keysOf(pair);
  pair.now += 20;
  assert.equal(pair.inject(pair.bob, initiation(), elsewhere), undefined);
  pair.now += 19;
  assert.equal(pair.inject(pair.bob, initiation(), elsewhere), "handshake-flood");
  pair.now += 1;
  assert.equal(pair.inject(pair.bob, initiation(), elsewhere), undefined);
});

test("a forged response, right mac1 and all, does not end the handshake that waits for the true one", () => {
  const pair = new Pair();
  const responses: Uint8Array[] = [];
  pair.loses = ({ type, message }) => type === 2 && responses.push(message.slice()) > 0;
  pair.send(pair.alice);
  pair.drive(50);
  const [response] = responses;
  const forged = response.slice();
  forged[50] ^= 1; // in the sealed nothing: mac1 is now wrong
  assert.equal(pair.inject(pair.alice, forged, pair.bob.endpoint), "mac1-invalid");
  assert.equal(pair.inject(pair.alice, remac(pair, forged), pair.bob.endpoint), "handshake-undecryptable");
  assert.equal(pair.inject(pair.alice, response, pair.bob.endpoint), undefined);
  assert.ok(pair.alice.peer.current);
  assert.equal(pair.inject(pair.alice, response, pair.bob.endpoint), "handshake-unexpected");
});

test("changing our own key ends every session; the peer that knows only the old key is left without", () => {
  const pair = new Pair();
  pair.connect();
  pair.alice.device.setPrivateKey(pair.now, keysOf(pair).otherKey);
  pair.drive(0);
  assert.equal(pair.alice.noticed("keypair-removed"), 1);
  pair.send(pair.alice);
  pair.drive(100);
  assert.equal(pair.bob.drops.at(-1), "handshake-unknown-peer");
});

function keysOf(pair: Pair) {
  // The first thing a node draws from its random source is its private key.
  const random = new SeededRandom(1);
  const aliceKey = new PrivateKey(random.bytes(32));
  assert.ok(pair.alice.publicKey.equals(new PublicKey(native.publicKey(aliceKey.bytes))));
  return { aliceKey, otherKey: new PrivateKey(new Uint8Array(32).fill(3)) };
}

function remac(pair: Pair, message: Uint8Array): Uint8Array {
  const copy = message.slice();
  new CookieJar(native, pair.alice.publicKey).addMacs(pair.now, copy);
  return copy;
}
