import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import { isZero } from "../../src/base/bytes.ts";
import { PublicKey } from "../../src/base/keys.ts";
import { native } from "../../src/crypto/native.ts";
import {
  RejectAfterMessages,
  RejectAfterTime,
  RekeyAfterMessages,
  RekeyAfterTime,
  RekeyTimeout,
} from "../../src/wireguard/constants.ts";
import { writeCounter } from "../../src/wireguard/messages.ts";
import { ipv4Packet, Pair } from "./pair.ts";
import { SeededRandom } from "./seeded-random.ts";

const strangerKey = new PublicKey(native.publicKey(new Uint8Array(32).fill(5)));
const eve = Endpoint.parse("203.0.113.66:6666");

test("rekey under load: the initiator alone, at 120 s, and no packet is lost or doubled", () => {
  const pair = new Pair();
  const random = new SeededRandom(5);
  pair.delays = () => random.fraction() * 15;
  pair.connect();
  let sent = 0;
  for (; pair.now < 400_000; sent++) {
    pair.send(pair.alice);
    pair.send(pair.bob);
    pair.drive(100);
  }
  pair.drive(1_000);
  assert.equal(pair.bob.delivered.length, sent + 1);
  assert.equal(pair.alice.delivered.length, sent);
  assert.equal(pair.sent(pair.bob, 1).length, 0);
  const times = pair.sent(pair.alice, 1).map(({ at }) => at);
  assert.ok(times.slice(1).every((at, i) => at - times[i] >= RekeyAfterTime && at - times[i] < RekeyAfterTime + 200));
  assert.deepEqual([...pair.alice.drops, ...pair.bob.drops], []);
});

test("the responder does not rekey by age; it asks for a session once the old one is over", () => {
  const pair = new Pair();
  pair.connect();
  for (; pair.now < 1_000 + RejectAfterTime; pair.drive(1_000)) pair.send(pair.bob);
  assert.equal(pair.sent(pair.bob, 1).length, 0);
});

test("expiry is exact: a message on a session of 180 s is dropped, whichever side looks", () => {
  const pair = new Pair();
  pair.connect();
  const keypair = pair.alice.peer.current ?? assert.fail();
  const atBob = pair.bob.peer.current ?? assert.fail();
  pair.latencyMs = 0;
  pair.loses = ({ type }) => type === 1;
  pair.drive(atBob.createdAt + RejectAfterTime - 1 - pair.now);
  assert.equal(pair.send(pair.bob), undefined);
  pair.drive(0);
  assert.equal(pair.alice.delivered.length, 1);
  pair.drive(1);
  pair.send(pair.alice);
  assert.ok(pair.now < keypair.createdAt + RejectAfterTime);
  pair.drive(0);
  assert.equal(pair.bob.drops.at(-1), "keypair-expired", "Bob derived the session first, so for him it is over");
});

test("a replayed message and one that comes late are told apart", () => {
  const pair = new Pair();
  pair.connect();
  const random = new SeededRandom(11);
  pair.delays = () => random.fraction() * 500;
  for (let i = 0; i < 300; i++) pair.send(pair.alice, pair.packet(pair.alice, 20 + i));
  pair.drive(1_000);
  const lengths = pair.bob.delivered.slice(1).map(({ length }) => length);
  assert.notDeepEqual(
    lengths,
    [...lengths].sort((a, b) => a - b),
    "they did arrive out of order",
  );
  assert.equal(new Set(lengths).size, 300);
  for (const { message } of pair.sent(pair.alice, 4)) {
    assert.equal(pair.inject(pair.bob, message, eve), "message-replayed");
  }
  assert.equal(pair.bob.delivered.length, 301);
  assert.ok(pair.bob.peer.endpoint?.equals(pair.alice.endpoint), "and Eve's address was never believed");
});

test("a late packet on the old session arrives, and does not flip the session back", () => {
  const pair = new Pair();
  pair.connect();
  pair.drive(RekeyAfterTime);
  let held: Uint8Array | undefined;
  pair.loses = ({ type, message }) => {
    if (type !== 4 || held !== undefined) return false;
    held = message;
    return true;
  };
  pair.send(pair.alice); // old by now: it is the last on the old session, and brings the rekey about
  pair.drive(100);
  const renewed = pair.bob.peer.current;
  assert.ok(renewed && held);
  assert.notEqual(renewed, pair.bob.peer.keyring.previous);
  assert.equal(pair.inject(pair.bob, held, pair.alice.endpoint), undefined);
  assert.equal(pair.bob.delivered.length, 2);
  assert.equal(pair.bob.peer.current, renewed);
});

test("roaming: the peer is answered where its last authentic message came from", () => {
  const pair = new Pair();
  pair.connect();
  const before = pair.alice.endpoint;
  pair.alice.endpoint = Endpoint.parse("[2001:db8::7]:4242");
  pair.send(pair.alice);
  pair.drive(100);
  pair.send(pair.bob);
  pair.drive(100);
  assert.equal(pair.alice.delivered.length, 1);
  assert.ok(!before.equals(pair.alice.endpoint) && pair.bob.peer.endpoint?.equals(pair.alice.endpoint));
  const forged = pair.sent(pair.alice, 4)[0].message.slice();
  writeCounter(forged, 8, 99);
  assert.equal(pair.inject(pair.bob, forged, eve), "message-undecryptable");
  assert.ok(pair.bob.peer.endpoint?.equals(pair.alice.endpoint), "what is not authentic moves nothing");
});

test("roaming also on handshake messages: an initiation from elsewhere is answered there", () => {
  const pair = new Pair();
  pair.connect();
  pair.alice.endpoint = Endpoint.parse("192.0.2.99:9");
  pair.drive(RejectAfterTime);
  pair.send(pair.alice);
  pair.drive(100);
  assert.ok(pair.sent(pair.bob, 2).at(-1)?.destination.equals(pair.alice.endpoint));
  assert.equal(pair.bob.delivered.length, 2);
});

test("a new endpoint does not wait for RekeyTimeout", () => {
  const pair = new Pair();
  pair.alice.peer.setEndpoint(pair.now, eve);
  pair.send(pair.alice);
  pair.drive(1_000);
  pair.alice.peer.setEndpoint(pair.now, pair.bob.endpoint);
  pair.drive(100);
  assert.equal(pair.bob.delivered.length, 1);
});

test("the send limit ends a key: what comes after waits for a new session, and no counter is used twice", () => {
  const pair = new Pair();
  pair.connect();
  pair.drive(RekeyTimeout);
  const keypair = pair.alice.peer.current ?? assert.fail();
  keypair.sendCounter = RejectAfterMessages - 2;
  pair.loses = ({ type }) => type === 1;
  for (let i = 0; i < 4; i++) pair.send(pair.alice);
  assert.equal(keypair.sendCounter, RejectAfterMessages);
  assert.equal(pair.alice.peer.staged, 2);
  pair.loses = () => false;
  pair.drive(6_000);
  assert.equal(pair.bob.delivered.length, 5);
});

test("after RekeyAfterMessages even the responder asks for a new session", () => {
  const pair = new Pair();
  pair.connect();
  pair.drive(RekeyTimeout);
  const keypair = pair.bob.peer.current ?? assert.fail();
  keypair.sendCounter = RekeyAfterMessages - 1;
  pair.send(pair.bob);
  assert.equal(pair.sent(pair.bob, 1).length, 0);
  pair.send(pair.bob);
  assert.equal(pair.sent(pair.bob, 1).length, 1);
});

test("a counter that a double cannot hold is dropped before anything is opened", () => {
  const pair = new Pair();
  pair.connect();
  const message = pair.sent(pair.alice, 4)[0].message.slice();
  for (const counter of [RejectAfterMessages, 2 ** 53, 2 ** 63]) {
    writeCounter(message, 8, counter);
    assert.equal(pair.inject(pair.bob, message, pair.alice.endpoint), "counter-too-large");
  }
});

test("an inner source that is not the peer's is dropped, be it a stranger's or another peer's", () => {
  const pair = new Pair();
  pair.connect();
  const other = pair.bob.device.addPeer(pair.now, { id: 8, publicKey: strangerKey });
  pair.bob.allowedIps.insert(Cidr.parse("10.0.0.3/32"), other.id);
  for (const source of ["10.0.0.3", "10.0.0.4", "8.8.8.8"]) {
    pair.send(pair.alice, ipv4Packet(IpAddress.parse(source), pair.bob.inner4, 40));
    pair.drive(20);
    assert.equal(pair.bob.drops.at(-1), "packet-wrong-source");
  }
  assert.equal(pair.bob.delivered.length, 1);
});

test("an allowed IP moved to another peer takes effect with the next packet, both ways", () => {
  const pair = new Pair();
  pair.connect();
  const other = pair.alice.device.addPeer(pair.now, { id: 9, publicKey: strangerKey });
  pair.alice.allowedIps.insert(Cidr.parse(`${pair.bob.inner4}`), other.id);
  assert.equal(pair.send(pair.alice), "peer-no-endpoint");
  pair.send(pair.bob);
  pair.drive(100);
  assert.equal(pair.alice.drops.at(-1), "packet-wrong-source");
  pair.alice.allowedIps.insert(Cidr.parse(`${pair.bob.inner4}`), pair.alice.peer.id);
  pair.send(pair.alice);
  pair.drive(100);
  assert.equal(pair.bob.delivered.length, 2);
});

test("a removed peer is a stranger: its messages are dropped, its keys wiped", () => {
  const pair = new Pair();
  pair.connect();
  const keypair = pair.bob.peer.current ?? assert.fail();
  pair.bob.device.removePeer(pair.now, pair.bob.peer);
  pair.drive(0);
  assert.ok(isZero(keypair.sendKey));
  pair.send(pair.alice);
  pair.drive(20_000);
  assert.deepEqual([...new Set(pair.bob.drops)], ["index-unknown", "handshake-unknown-peer"]);
  assert.equal(pair.bob.device.nextDeadline(), undefined);
});

test("padding: to 16 bytes, but not beyond the MTU", () => {
  const pair = new Pair();
  pair.connect();
  for (const [length, padded] of [
    [20, 32],
    [32, 32],
    [1404, 1408],
    [1405, 1408],
    [1409, 1420],
    [1420, 1420],
    [1430, 1430],
  ]) {
    pair.send(pair.alice, pair.packet(pair.alice, length));
    pair.drive(20);
    assert.equal(pair.sent(pair.alice, 4).at(-1)?.message.length, padded + 32, `${length} bytes`);
    assert.equal(pair.bob.delivered.at(-1)?.length, length, "cut to what the IP header says");
  }
});

test("a lossy, slow, disordered wire for ten minutes: everything that Eve let through arrives once", () => {
  const pair = new Pair({ mutual: true, seed: 3 });
  const random = new SeededRandom(77);
  const lost = new Set<Uint8Array>();
  pair.delays = () => random.fraction() * 80;
  pair.loses = ({ message }) => {
    const isLost = random.fraction() < 0.2;
    if (isLost) lost.add(message);
    return isLost;
  };
  for (; pair.now < 600_000; pair.drive(700)) {
    pair.send(pair.alice);
    pair.send(pair.bob);
  }
  pair.loses = () => false;
  pair.drive(10_000);
  const data = [...pair.sent(pair.alice, 4), ...pair.sent(pair.bob, 4)].filter(({ message }) => message.length > 32);
  const arrived = data.filter(({ message }) => !lost.has(message)).length;
  assert.equal(pair.alice.delivered.length + pair.bob.delivered.length, arrived);
  assert.ok(arrived > 1_000);
});
