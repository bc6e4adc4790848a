import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../src/base/address.ts";
import { CookieRefreshTime, UnderLoadAfterTime } from "../../src/wireguard/constants.ts";
import { Pair } from "./pair.ts";

const eve = Endpoint.parse("203.0.113.66:6666");

test("under load an initiation is answered with a cookie, and the next one, bearing it, with a response", () => {
  const pair = new Pair();
  pair.loses = () => {
    pair.bob.device.noteLoad(pair.now);
    return false;
  };
  pair.send(pair.alice);
  pair.drive(100);
  assert.deepEqual(pair.bob.drops, ["mac2-required"]);
  assert.equal(pair.sent(pair.bob, 3).length, 1);
  assert.equal(pair.sent(pair.bob, 2).length, 0);
  pair.drive(6_000);
  assert.equal(pair.sent(pair.alice, 1).length, 2, "a cookie is no reason to send sooner");
  assert.equal(pair.bob.delivered.length, 1);
});

test("a second after the load is gone, mac1 is enough", () => {
  const pair = new Pair();
  pair.latencyMs = 0;
  pair.bob.device.noteLoad(pair.now);
  pair.now += UnderLoadAfterTime;
  pair.connect();
  assert.equal(pair.sent(pair.bob, 3).length, 0);
});

test("a cookie is good for one address and port: Eve cannot use Alice's", () => {
  const pair = new Pair();
  const initiation = cookieBearingInitiation(pair);
  pair.bob.device.noteLoad(pair.now);
  const nextDoor = new Endpoint(pair.alice.endpoint.address, pair.alice.endpoint.port + 1);
  assert.equal(pair.inject(pair.bob, initiation, eve), "mac2-required");
  assert.equal(pair.inject(pair.bob, initiation, nextDoor), "mac2-required");
  assert.equal(pair.inject(pair.bob, initiation, pair.alice.endpoint), undefined);
});

test("a cookie is good for two minutes", () => {
  const pair = new Pair();
  const initiation = cookieBearingInitiation(pair);
  pair.drive(CookieRefreshTime);
  pair.bob.device.noteLoad(pair.now);
  assert.equal(pair.inject(pair.bob, initiation, pair.alice.endpoint), "mac2-required");
});

test("a cookie reply moves no endpoint, and only one is believed for each message", () => {
  const pair = new Pair();
  cookieBearingInitiation(pair);
  const [reply] = pair.sent(pair.bob, 3);
  assert.ok(pair.alice.peer.endpoint?.equals(pair.bob.endpoint));
  assert.equal(pair.inject(pair.alice, reply.message, eve), "index-unknown", "that initiation is past");
  assert.ok(pair.alice.peer.endpoint?.equals(pair.bob.endpoint));
});

test("under load, valid cookies and all, a source gets five handshakes and then twenty a second", () => {
  const pair = new Pair();
  const initiation = cookieBearingInitiation(pair);
  const results = [];
  for (let i = 0; i < 30; i++, pair.now += 25) {
    pair.bob.device.noteLoad(pair.now);
    results.push(pair.inject(pair.bob, initiation, pair.alice.endpoint));
  }
  assert.equal(results[0], undefined);
  assert.ok(results.slice(1).every((reason) => reason === "handshake-replayed" || reason === "rate-limited"));
  const limited = results.filter((reason) => reason === "rate-limited").length;
  assert.ok(limited >= 10 && limited <= 12, `${limited} of 30 in 750 ms`);
});

test("a response, too, must bear a cookie under load", () => {
  const pair = new Pair();
  pair.alice.device.noteLoad(pair.now);
  pair.send(pair.alice);
  pair.drive(50);
  assert.deepEqual(pair.alice.drops, ["mac2-required"]);
  assert.equal(pair.sent(pair.alice, 3).length, 1);
});

test("mac1 is asked for always: who does not know our key gets no answer", () => {
  const pair = new Pair();
  pair.send(pair.alice);
  const message = pair.sent(pair.alice, 1)[0].message.slice();
  message[116] ^= 1;
  assert.equal(pair.inject(pair.bob, message, pair.alice.endpoint), "mac1-invalid");
  assert.equal(pair.sent(pair.bob, 3).length, 0);
});

/** Has Alice get a cookie and send an initiation with it, which Bob does not get. */
function cookieBearingInitiation(pair: Pair): Uint8Array {
  pair.loses = ({ type }) => type === 1 && pair.sent(pair.alice, 1).length > 1;
  pair.bob.device.noteLoad(pair.now);
  pair.send(pair.alice);
  pair.drive(5_500);
  const [, initiation] = pair.sent(pair.alice, 1);
  pair.loses = ({ from }) => from === "alice";
  return initiation.message;
}
