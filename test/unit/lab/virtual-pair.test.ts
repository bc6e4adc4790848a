import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { VirtualPair } from "../../../src/lab/virtual-pair.ts";

const makePair = () => new VirtualPair((length) => Uint8Array.from(randomBytes(length)));
const initiations = ({ seen }: VirtualPair) => seen.filter(({ message }) => message[0] === 1);

test("a client that has something to send renews its session at 120 s, and every packet arrives", () => {
  const pair = makePair();
  for (let i = 0; i < 25; i++) {
    pair.send();
    pair.pass(10_000);
  }
  assert.deepEqual(
    initiations(pair).map(({ at, from }) => [at, from]),
    [
      [0, "client"],
      [120_000, "client"],
      [240_000, "client"],
    ],
  );
  assert.equal(pair.delivered, 25);
});

test("one that is silent renews nothing", () => {
  const pair = makePair();
  pair.send();
  pair.pass(1_000_000);
  assert.equal(initiations(pair).length, 1);
});

test("a message that was held up is taken while its session lives, once", () => {
  const pair = makePair();
  assert.equal(pair.sendHeld()?.[0], 1, "without a session it is an initiation");
  const other = makePair();
  other.send();
  const early = other.sendHeld() ?? assert.fail("nothing was sent");
  const late = other.sendHeld() ?? assert.fail("nothing was sent");
  other.pass(179_000);
  assert.equal(other.inject(early), undefined);
  assert.equal(other.delivered, 2);
  assert.equal(other.inject(early), "message-replayed");
  other.pass(2_000);
  assert.equal(other.inject(late), "keypair-expired");
});
