import assert from "node:assert/strict";
import { test } from "node:test";
import { native } from "../../../src/crypto/native.ts";
import { readUint32, writeUint32 } from "../../../src/wireguard/messages.ts";
import * as reference from "../../reference/handshake.ts";
import { Pair } from "../../simulation/pair.ts";
import { dataInput, golden } from "../../vectors/handshake.ts";

test("a data message is, byte for byte, what the whitepaper's equation gives", () => {
  const pair = new Pair();
  pair.connect();
  const keypair = pair.alice.peer.current ?? assert.fail();
  const { padded } = dataInput;
  const packet = pair.packet(pair.alice, 45);
  keypair.sendCounter = dataInput.counter;
  pair.send(pair.alice, packet);
  const body = new Uint8Array(48);
  body.set(packet);
  const expected = reference.data(keypair.sendKey, keypair.remoteIndex, dataInput.counter, body);
  assert.deepEqual(pair.sent(pair.alice, 4).at(-1)?.message, expected);
  assert.equal(golden.data.length / 2, 16 + padded.length + 16);
});

test("what cannot be a message of ours, or is for no session, is dropped and counted", () => {
  const pair = new Pair();
  pair.connect();
  const message = pair.sent(pair.alice, 4)[0].message.slice();
  writeUint32(message, 4, readUint32(message, 4) ^ 1);
  assert.equal(pair.inject(pair.bob, message, pair.alice.endpoint), "index-unknown");
  assert.equal(pair.inject(pair.bob, new Uint8Array(0), pair.alice.endpoint), "message-too-short");
  assert.equal(pair.inject(pair.bob, new Uint8Array(65_507).fill(4), pair.alice.endpoint), "message-unknown-type");
  assert.deepEqual([...pair.bob.path.drops.values()], [1, 1, 1]);
});

test("what is inside an authentic message is checked all the same", () => {
  const pair = new Pair();
  pair.connect();
  const keypair = pair.alice.peer.current ?? assert.fail();
  const message = (inside: Uint8Array) =>
    reference.data(keypair.sendKey, keypair.remoteIndex, ++keypair.sendCounter, inside);
  const truncated = pair.packet(pair.alice, 100).slice(0, 50);
  for (const inside of [new Uint8Array(16), truncated, new Uint8Array(1).fill(0x45)]) {
    assert.equal(pair.inject(pair.bob, message(inside), pair.alice.endpoint), "packet-malformed");
  }
  assert.equal(pair.bob.delivered.length, 1);
});

test("what comes from the TUN device malformed or for nobody goes nowhere", () => {
  const pair = new Pair();
  assert.equal(pair.send(pair.alice, new Uint8Array(3)), "packet-malformed");
  assert.equal(pair.send(pair.alice, pair.packet(pair.bob)), "packet-no-peer");
  assert.equal(pair.send(pair.bob), "peer-no-endpoint");
  assert.equal(pair.seen.length, 0);
});

test("seal and open agree with the golden data message", () => {
  const key = new Uint8Array(32).map((_, i) => Number.parseInt(golden.initiatorKey.slice(2 * i, 2 * i + 2), 16));
  const message = reference.data(key, 0xaabb_ccdd, dataInput.counter, dataInput.padded);
  const nonce = new Uint8Array(12);
  nonce.set(message.subarray(8, 16), 4);
  assert.deepEqual(native.open(key, nonce, message.subarray(16), new Uint8Array(0)), dataInput.padded);
});
