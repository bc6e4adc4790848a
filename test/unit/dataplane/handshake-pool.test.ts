import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { PresharedKey, PrivateKey, PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { HandshakePool } from "../../../src/dataplane/handshake-pool.ts";
import {
  authenticateInitiation,
  type CreatedResponse,
  consumeResponse,
  createInitiation,
  createResponse,
  type Identity,
  openInitiation,
  type Respond,
} from "../../../src/wireguard/handshake.ts";

const timeout = 30_000; // what never comes fails by name

function identity(): Identity {
  const privateKey = new PrivateKey(randomBytes(32));
  return { privateKey, publicKey: new PublicKey(native.publicKey(privateKey.bytes)) };
}

const [alice, bob] = [identity(), identity()];
const staticStatic = native.x25519(alice.privateKey.bytes, bob.publicKey.bytes) ?? assert.fail();

/** An authenticated initiation from alice to bob, and what the pool is to be given for it. */
function initiation(number: number) {
  const presharedKey = new PresharedKey(randomBytes(32));
  const input = { localIndex: number, ephemeral: randomBytes(32), timestamp: new Uint8Array(12).fill(number) };
  const toBob = { publicKey: bob.publicKey, presharedKey, staticStatic };
  const created = createInitiation(native, alice, toBob, input) ?? assert.fail();
  const opened = openInitiation(native, bob, created.message) ?? assert.fail();
  assert.ok(authenticateInitiation(opened, staticStatic));
  const toAlice = { publicKey: alice.publicKey, presharedKey, staticStatic };
  return { initiated: created.initiated, presharedKey, opened, toAlice };
}

/** Whether alice can have the session that bob was told of. */
function agrees(
  { initiated, presharedKey }: ReturnType<typeof initiation>,
  created: CreatedResponse | undefined,
): boolean {
  if (created === undefined) return false;
  const keys = consumeResponse(native, alice, presharedKey, initiated, created.message);
  assert.deepEqual(keys?.sendKey, created.keys.receiveKey);
  assert.deepEqual(keys?.receiveKey, created.keys.sendKey);
  assert.equal(created.keys.remoteIndex, initiated.localIndex);
  return true;
}

/** A pool of two threads, and how many responses were made without them. */
function makePool(index = 0) {
  const words = new Int32Array(new SharedArrayBuffer(4));
  const count = { inPlace: 0 };
  const inPlace: Respond = (peer, opened, input, done) => {
    count.inPlace++;
    done(createResponse(native, peer, opened, input));
  };
  const pool = new HandshakePool({ wake: { words, index }, inPlace, threads: 2 });
  const ask = (one: ReturnType<typeof initiation>, localIndex: number) => {
    const ephemeral = randomBytes(32);
    return {
      ephemeral,
      answer: new Promise<CreatedResponse | undefined>((resolve) => {
        pool.respond(one.toAlice, one.opened, { localIndex, ephemeral }, resolve);
        one.opened.state[Symbol.dispose](); // the pool has taken what it needs
      }),
    };
  };
  return { pool, words, count, ask };
}

test("threads make the responses that main would, in the order in which they were asked for", { timeout }, async () => {
  const { pool, words, count, ask } = makePool();
  await using _pool = pool;
  const before = initiation(1);
  assert.ok(agrees(before, await ask(before, 1).answer));
  assert.equal(count.inPlace, 1, "without threads, main does it");
  await pool.staff();
  const initiations = Array.from({ length: 100 }, (_, i) => initiation(i));
  const order: number[] = [];
  const asked = initiations.map((one, i) => {
    const { ephemeral, answer } = ask(one, 1000 + i);
    assert.deepEqual(ephemeral, Buffer.alloc(32), "the secret is not kept here");
    return answer.then((created) => {
      order.push(i);
      return created;
    });
  });
  while (pool.waiting > 0) {
    const seen = Atomics.load(words, 0);
    pool.collect();
    if (pool.waiting > 0) await Atomics.waitAsync(words, 0, seen).value;
  }
  for (const [i, created] of (await Promise.all(asked)).entries()) assert.ok(agrees(initiations[i], created));
  assert.deepEqual(order, [...initiations.keys()]);
  assert.equal(count.inPlace, 1);
});

test("what finds no free slot is done at once, and what is under way when the pool ends is given up", {
  timeout,
}, async () => {
  const { pool, count, ask } = makePool();
  await pool.staff();
  const asked = Array.from({ length: 130 }, (_, i) => ask(initiation(i), i).answer);
  assert.ok(count.inPlace >= 2);
  await pool[Symbol.asyncDispose]();
  const answers = await Promise.all(asked);
  assert.equal(answers.filter((answer) => answer !== undefined).length, count.inPlace);
  await pool.staff();
  assert.ok(!pool.isStaffed, "a pool that has ended stays so");
});

test("when a thread fails, what it was given is given up, and main does the work from then on", {
  timeout,
}, async () => {
  const { pool, count, ask } = makePool(99); // a word that is not there: threads fail when they have done something
  await using _pool = pool;
  await pool.staff();
  assert.equal(await ask(initiation(1), 1).answer, undefined);
  assert.ok(!pool.isStaffed);
  const second = initiation(2);
  assert.ok(agrees(second, await ask(second, 2).answer));
  assert.equal(count.inPlace, 1);
  await pool.staff();
  assert.ok(!pool.isStaffed, "there is no second try");
});

test("threads end when there was nothing to do for a while", { timeout }, async () => {
  const words = new Int32Array(new SharedArrayBuffer(4));
  await using pool = new HandshakePool({ wake: { words, index: 0 }, inPlace: () => undefined, threads: 1, idleMs: 5 });
  await pool.staff();
  const { promise, resolve } = Promise.withResolvers<void>();
  const looking = setInterval(() => {
    if (!pool.isStaffed) resolve();
  }, 5);
  await promise;
  clearInterval(looking);
});
