import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { isZero } from "../../../src/base/bytes.ts";
import { RejectAfterMessages, RejectAfterTime } from "../../../src/wireguard/constants.ts";
import { Keypair, Keyring } from "../../../src/wireguard/keypair.ts";

function makeKeypair(localIndex: number): Keypair {
  const keys = { remoteIndex: 9, sendKey: new Uint8Array(32).fill(1), receiveKey: new Uint8Array(32).fill(2) };
  return new Keypair({ keys, localIndex, isInitiator: true, createdAt: 1_000 });
}

const [a, b, c, d] = [1, 2, 3, 4].map(makeKeypair);
const roles = ({ previous, current, next }: Keyring) => [previous, current, next];

test("the initiator sends on the new session at once and keeps the one before it", () => {
  const ring = new Keyring();
  assert.deepEqual(ring.addInitiated(a), []);
  assert.deepEqual(ring.addInitiated(b), []);
  assert.deepEqual(roles(ring), [a, b, undefined]);
  assert.deepEqual(ring.addInitiated(c), [a]);
  assert.deepEqual(roles(ring), [b, c, undefined]);
});

test("the responder keeps sending on the old session until the new one is confirmed", () => {
  const ring = new Keyring();
  ring.addInitiated(a);
  ring.addInitiated(b);
  assert.deepEqual(ring.addAnswered(c), [a]);
  assert.deepEqual(roles(ring), [undefined, b, c]);
  assert.deepEqual(ring.addAnswered(d), [c]);
  assert.deepEqual(ring.confirm(), []);
  assert.deepEqual(roles(ring), [b, d, undefined]);
});

test("an initiated session comes before an unconfirmed answered one, which may still receive", () => {
  const ring = new Keyring();
  ring.addInitiated(a);
  ring.addAnswered(b);
  assert.deepEqual(ring.addInitiated(c), [a]);
  assert.deepEqual(roles(ring), [b, c, undefined]);
});

test("cleared, every keypair is handed back", () => {
  const ring = new Keyring();
  ring.addInitiated(a);
  ring.addInitiated(b);
  assert.deepEqual(new Set(ring.clear()), new Set([a, b]));
  assert.deepEqual(roles(ring), [undefined, undefined, undefined]);
});

test("a keypair lives for RejectAfterTime and sends RejectAfterMessages", () => {
  const keypair = makeKeypair(1);
  assert.ok(keypair.canSend(1_000 + RejectAfterTime - 1));
  assert.ok(!keypair.canSend(1_000 + RejectAfterTime));
  assert.ok(!keypair.isLive(1_000 + RejectAfterTime));
  keypair.sendCounter = RejectAfterMessages - 1;
  assert.ok(keypair.canSend(1_000));
  keypair.sendCounter++;
  assert.ok(!keypair.canSend(1_000));
  assert.ok(keypair.isLive(1_000), "it may still receive");
});

test("keys are not printed, and are gone when wiped", () => {
  const keypair = makeKeypair(1);
  for (const text of [inspect(keypair), JSON.stringify(keypair)]) {
    assert.match(text, /redacted/);
    assert.doesNotMatch(text, /sendKey|receiveKey/);
  }
  const { sendKey, receiveKey } = keypair;
  keypair.wipe();
  assert.ok(isZero(sendKey) && isZero(receiveKey));
  assert.equal(keypair.sendKey.length + keypair.receiveKey.length, 0, "nor does anybody hold on to what they were in");
  assert.ok(!keypair.canSend(1_000), "a key of zeros must not seal anything");
});
