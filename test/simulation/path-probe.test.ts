/** Questions to a peer by another way, while a session lives; and whose messages move the endpoint. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../src/base/address.ts";
import { Pair } from "./pair.ts";

/** Where Bob is, too, for a while. */
const elsewhere = Endpoint.parse("203.0.113.9:443");
const carried = Endpoint.parse("127.0.0.1:4711").carriedBy({ name: "tcp://203.0.113.9:443", remote: elsewhere });

const answers = (pair: Pair) =>
  pair.alice.notices.flatMap((notice) => (notice.kind === "path-answered" ? [notice] : []));

test("a probe is answered by a stock responder, and leaves the session as it was", () => {
  const pair = new Pair();
  pair.connect();
  const [sending, home] = [pair.alice.peer.current, pair.alice.peer.endpoint];
  const [answering, shakenAt] = [pair.bob.peer.current, pair.alice.peer.lastHandshakeAt];
  pair.bob.endpoint = elsewhere;
  pair.alice.device.probe(pair.now, pair.alice.peer, elsewhere);
  pair.drive(100);
  const [answer] = answers(pair);
  assert.deepEqual([String(answer.endpoint), answer.roundTripMs], [String(elsewhere), 20]);
  assert.equal(pair.alice.peer.current, sending);
  assert.equal(pair.bob.peer.current, answering, "Bob has a further keypair, and goes on with the one in use");
  assert.deepEqual([pair.alice.peer.endpoint, pair.alice.peer.lastHandshakeAt], [home, shakenAt]);
  assert.equal(pair.alice.noticed("handshake-completed"), 1);
  for (const node of [pair.alice, pair.bob]) pair.send(node);
  pair.alice.device.setEndpoint(pair.now, pair.alice.peer, elsewhere);
  pair.send(pair.alice);
  pair.drive(100);
  assert.equal(pair.bob.delivered.length, 2, "and what was probed can be used at once");
  assert.deepEqual([pair.sent(pair.alice, 1).length, pair.alice.drops, pair.bob.drops], [2, [], []]);
});

test("a probe that is forged, answered twice, or not at all changes nothing", () => {
  const pair = new Pair();
  pair.connect();
  pair.loses = ({ type, from }) => type === 2 && from === "bob";
  pair.alice.device.probe(pair.now, pair.alice.peer, pair.bob.endpoint);
  pair.drive(1000);
  const response = pair.sent(pair.bob, 2)[1].message;
  const forged = Uint8Array.from(response);
  forged[20] ^= 1;
  assert.equal(pair.inject(pair.alice, forged, pair.bob.endpoint), "mac1-invalid");
  assert.deepEqual(answers(pair), []);
  assert.equal(pair.inject(pair.alice, response, pair.bob.endpoint), undefined);
  assert.equal(answers(pair).length, 1);
  assert.equal(pair.inject(pair.alice, response, pair.bob.endpoint), "index-unknown", "its index is gone");
});

test("many probes without an answer keep no more than a few secrets", () => {
  const pair = new Pair();
  pair.connect();
  pair.loses = ({ type }) => type === 2;
  for (let i = 0; i < 8; i++) {
    pair.alice.device.probe(pair.now, pair.alice.peer, pair.bob.endpoint);
    pair.drive(1000);
  }
  const responses = pair.sent(pair.bob, 2).slice(1);
  assert.equal(responses.length, 8);
  const taken = responses.map(({ message }) => pair.inject(pair.alice, message, pair.bob.endpoint));
  assert.equal(taken.filter((reason) => reason === undefined).length, 4);
  assert.equal(taken.slice(0, 4).filter((reason) => reason === "index-unknown").length, 4);
});

test("where a way is chosen, late messages by another do not undo it; the network's own moves count where it is in use", () => {
  const pair = new Pair();
  pair.connect();
  const { peer } = pair.alice;
  const home = pair.bob.endpoint;
  const roamed = (source: Endpoint): string => {
    pair.alice.device.roam(pair.now, peer, source);
    return String(peer.endpoint);
  };
  peer.hold = "all";
  pair.alice.device.setEndpoint(pair.now, peer, carried);
  assert.equal(roamed(home), "tcp://203.0.113.9:443");
  peer.hold = "network";
  pair.alice.device.setEndpoint(pair.now, peer, home);
  assert.equal(roamed(carried), String(home));
  assert.equal(roamed(elsewhere), String(elsewhere));
  peer.hold = "none";
  assert.equal(roamed(carried), "tcp://203.0.113.9:443");
});
