import assert from "node:assert/strict";
import { test } from "node:test";
import { isZero } from "../../src/base/bytes.ts";
import {
  KeepaliveTimeout,
  RejectAfterTime,
  RekeyTimeout,
  RekeyTimeoutJitterMax,
} from "../../src/wireguard/constants.ts";
import { Pair } from "./pair.ts";

test("an initiator that only receives renews at 165 s, before the session is over", () => {
  const pair = new Pair();
  pair.connect();
  pair.bob.peer.setPersistentKeepalive(pair.now, 1_000); // data would make her send a keepalive, and renew at 120 s
  pair.drive(200_000);
  const [, renewal] = pair.sent(pair.alice, 1);
  assert.ok(renewal.at >= 1_000 + 165_000 && renewal.at <= 1_000 + 166_100, `at ${renewal.at}`);
  assert.equal(pair.sent(pair.bob, 1).length, 0);
});

test("a silent peer: a handshake follows 15 s after the first unanswered packet, however many follow it", () => {
  const pair = new Pair();
  pair.connect();
  pair.drive(30_000);
  pair.loses = ({ from }) => from === "alice";
  const silentSince = pair.now;
  for (let i = 0; i < 40; i++) {
    pair.send(pair.alice);
    pair.drive(500);
  }
  const [, initiation] = pair.sent(pair.alice, 1);
  const waited = initiation.at - silentSince;
  const due = KeepaliveTimeout + RekeyTimeout;
  assert.ok(waited >= due && waited <= due + RekeyTimeoutJitterMax, `waited ${waited} ms`);
});

test("each silence is waited for with a jitter of its own", () => {
  const pair = new Pair();
  pair.connect();
  const waits = [];
  for (let i = 0; i < 3; i++) {
    pair.loses = ({ from }) => from === "alice";
    const silentSince = pair.now;
    pair.send(pair.alice);
    pair.drive(16_000);
    waits.push((pair.sent(pair.alice, 1).at(-1)?.at ?? 0) - silentSince);
    pair.loses = () => false;
    pair.drive(20_000);
  }
  assert.equal(new Set(waits).size, 3, `${waits}`);
});

test("no spurious handshake where only the other side has been silent for long: it counts what was unanswered", () => {
  const pair = new Pair();
  pair.connect();
  pair.drive(60_000); // nothing moves
  pair.send(pair.alice);
  pair.drive(14_000); // Bob's passive keepalive answers within 10 s
  assert.equal(pair.sent(pair.alice, 1).length, 1);
  pair.drive(40_000);
  assert.equal(pair.sent(pair.alice, 1).length, 1);
});

test("a passive keepalive follows 10 s after data without answer; a keepalive is not answered with another", () => {
  const pair = new Pair();
  pair.connect();
  const receivedAt = pair.bob.peer.activity.receivedAt;
  pair.drive(100_000);
  const keepalives = pair.seen.filter(({ type, message }) => type === 4 && message.length === 32);
  assert.deepEqual(
    keepalives.map(({ from, at }) => [from, at]),
    [["bob", receivedAt + KeepaliveTimeout]],
  );
});

test("the passive keepalive is timed from the first data received, not from the last sent or received", () => {
  const pair = new Pair();
  pair.connect();
  const first = pair.bob.peer.activity.receivedAt;
  for (let i = 0; i < 9; i++) {
    pair.drive(1_000);
    pair.send(pair.alice);
  }
  pair.drive(5_000);
  assert.equal(pair.sent(pair.bob, 4)[0].at, first + KeepaliveTimeout);
});

test("a persistent keepalive goes out each interval in which nothing moved, and brings a session about", () => {
  const pair = new Pair();
  pair.alice.peer.setPersistentKeepalive(pair.now, 25_000);
  pair.drive(100_000);
  const keepalives = pair.sent(pair.alice, 4).map(({ at }) => at);
  assert.equal(keepalives.length, 4);
  assert.ok(keepalives.slice(1).every((at, i) => at - keepalives[i] === 25_000));
  pair.alice.peer.setPersistentKeepalive(pair.now, undefined);
  pair.drive(100_000);
  assert.equal(pair.sent(pair.alice, 4).length, 4);
});

test("turning the persistent keepalive on with a session sends one at once", () => {
  const pair = new Pair();
  pair.connect();
  pair.alice.peer.setPersistentKeepalive(pair.now, 25_000);
  pair.drive(0);
  assert.equal(pair.sent(pair.alice, 4).at(-1)?.message.length, 32);
});

test("a persistent keepalive towards a peer of unknown address keeps nobody busy", () => {
  const pair = new Pair();
  pair.bob.peer.setPersistentKeepalive(pair.now, 1_000);
  pair.drive(60_000);
  assert.equal(pair.bob.device.nextDeadline(), undefined);
  assert.equal(pair.seen.length, 0);
});

test("540 s after the last derivation all keys and ephemerals are erased", () => {
  const pair = new Pair({ mutual: true });
  pair.connect();
  const keypairs = [pair.alice.peer.current ?? assert.fail(), pair.bob.peer.current ?? assert.fail()];
  const derivedAt = keypairs.map(({ createdAt }) => createdAt);
  pair.drive(Math.min(...derivedAt) + 3 * RejectAfterTime - 1 - pair.now);
  assert.ok(!keypairs.some(({ sendKey }) => isZero(sendKey)));
  pair.drive(100);
  for (const keypair of keypairs) assert.ok(isZero(keypair.sendKey) && isZero(keypair.receiveKey));
  for (const node of [pair.alice, pair.bob]) {
    assert.equal(node.peer.current, undefined);
    assert.equal(node.noticed("keypair-removed"), 1);
    assert.equal(node.device.nextDeadline(), undefined, "nothing is left to wait for");
  }
});

test("a handshake that is given up leaves an ephemeral, which is erased 540 s later: a late response finds none", () => {
  const pair = new Pair();
  let response: Uint8Array | undefined;
  pair.loses = ({ type, message }) => {
    if (type === 2) response = message;
    return type === 2;
  };
  pair.send(pair.alice);
  pair.drive(110_000);
  assert.equal(pair.alice.noticed("handshake-failed"), 1);
  pair.drive(540_000);
  assert.ok(response);
  assert.equal(pair.inject(pair.alice, response, pair.bob.endpoint), "index-unknown");
});

test("a machine that wakes from a long sleep erases its keys first and then starts a handshake that lives", () => {
  const pair = new Pair();
  pair.connect();
  pair.alice.peer.setPersistentKeepalive(pair.now, 25_000);
  pair.drive(20_000);
  pair.now += 3_600_000; // no timer runs meanwhile
  const before = pair.sent(pair.alice, 1).length;
  pair.drive(1_000);
  assert.equal(pair.alice.noticed("keypair-removed"), 1);
  assert.equal(pair.sent(pair.alice, 1).length, before + 1);
  assert.ok(pair.alice.peer.current, "answered, and the answer understood");
});
