import assert from "node:assert/strict";
import { test } from "node:test";
import { type Inside, type Outside, PacketMatcher } from "../../../src/trace/packet-matcher.ts";

const peer = "192.0.2.2:51820";
const inside = (at: number, length = 84, more: Partial<Inside> = {}): Inside => ({
  direction: "out",
  at,
  length,
  endpoint: peer,
  ...more,
});
const outside = (at: number, length = 128, more: Partial<Outside> = {}): Outside => ({
  direction: "out",
  at,
  length,
  endpoint: peer,
  ...more,
});

/** What becomes of packets and messages by the time `now`. */
function settle(packets: readonly Inside[], messages: readonly Outside[], now: number) {
  const matcher = new PacketMatcher();
  for (const packet of packets) matcher.addInside(packet);
  for (const message of messages) matcher.addOutside(message);
  return matcher.settle(now);
}

test("a lone packet is in the one message that fits", () => {
  const [packet, message] = [inside(10), outside(10.3)];
  assert.deepEqual(settle([packet], [message], 11), [{ inside: packet, outside: message, candidates: 1 }]);
});

const fitting: [what: string, packet: number, message: number, fits: boolean][] = [
  ["padded to a multiple of 16", 84, 96 + 32, true],
  ["that needs no padding", 96, 96 + 32, true],
  ["padded only up to the MTU", 1420, 1420 + 32, true],
  ["too small for it", 97, 96 + 32, false],
  ["with a whole block too much", 80, 96 + 32, false],
];
for (const [what, packet, message, fits] of fitting) {
  test(`a message ${what} ${fits ? "fits" : "does not fit"}`, () => {
    const [match] = settle([inside(10, packet)], [outside(11, message)], 20_000);
    assert.equal(match.outside !== undefined, fits);
  });
}

test("packets of one size are matched in order, and it is said that several fitted", () => {
  const packets = [inside(10), inside(10.1), inside(10.2)];
  const messages = [outside(10.4), outside(10.5), outside(10.6)];
  const matches = settle(packets, messages, 11);
  assert.deepEqual(
    matches.map((match) => match.outside),
    messages,
  );
  assert.deepEqual(
    matches.map(({ candidates }) => candidates),
    [3, 2, 1],
  );
});

test("a message of another peer, another direction or before its time is not taken", () => {
  const strangers = [
    outside(10.3, 128, { endpoint: "192.0.2.3:51820" }),
    outside(10.3, 128, { direction: "in" }),
    outside(9),
  ];
  assert.deepEqual(settle([inside(10)], strangers, 11), []);
  assert.deepEqual(settle([inside(10, 84, { direction: "in" })], [outside(10.6, 128, { direction: "in" })], 11), []);
});

test("what comes in was a message before", () => {
  const [message, packet] = [outside(10, 128, { direction: "in" }), inside(10.2, 84, { direction: "in" })];
  assert.equal(settle([packet], [message], 11)[0].outside, message);
});

test("a packet waits for its handshake, and is given up when none comes", () => {
  const matcher = new PacketMatcher();
  matcher.addInside(inside(1000));
  assert.deepEqual(matcher.settle(6900), []);
  matcher.addOutside(outside(6500));
  assert.equal(matcher.settle(6950)[0].candidates, 1);
  matcher.addInside(inside(7000));
  assert.deepEqual(matcher.settle(13_000), []);
  assert.equal(matcher.settle(13_001)[0].outside, undefined);
});

test("what never finds its counterpart does not pile up", () => {
  const matcher = new PacketMatcher();
  for (let i = 0; i < 10_000; i++) {
    matcher.addInside(inside(10));
    matcher.addOutside(outside(10, 1000));
    if (i % 100 === 0) matcher.settle(11);
  }
  matcher.settle(11);
  assert.ok(matcher.finish().length <= 256);
});
