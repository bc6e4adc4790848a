import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { PrivateKey, PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { Device } from "../../../src/wireguard/device.ts";
import { type CreatedResponse, createResponse } from "../../../src/wireguard/handshake.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

const endpoint = Endpoint.parse("192.0.2.1:51820");
const key = (n: number) => new PrivateKey(new Uint8Array(32).fill(n));
const publicKey = (n: number) => new PublicKey(native.publicKey(key(n).bytes));

/** Alice asks, and Bob's responses are made when the test says so. */
function pair() {
  const waiting: { created: CreatedResponse | undefined; hand: (created: CreatedResponse | undefined) => void }[] = [];
  const make = (n: number) => {
    const random = new SeededRandom(n);
    const device = new Device({
      primitives: native,
      random: (length) => random.bytes(length),
      wallClock: () => 1_750_000_000_000,
      respond: (peer, opened, input, hand) =>
        waiting.push({ created: createResponse(native, peer, opened, input), hand }),
    });
    device.setPrivateKey(1, key(n));
    return device;
  };
  const [alice, bob] = [make(1), make(2)];
  const peer = alice.addPeer(1, { id: 0, publicKey: publicKey(2), endpoint });
  const back = bob.addPeer(1, { id: 0, publicKey: publicKey(1) });
  const initiate = (now: number) => {
    assert.ok(alice.shakeHands(now, peer));
    for (const output of alice.drain()) {
      if (output.kind === "transmit") assert.equal(bob.receive(now, output.message, endpoint), undefined);
    }
  };
  const deliver = () => {
    const { created, hand } = waiting.shift() ?? assert.fail();
    hand(created);
    return created?.keys ?? assert.fail();
  };
  const kinds = () => bob.drain().map(({ kind }) => kind);
  return { alice, bob, peer, back, waiting, initiate, deliver, kinds };
}

test("an answer that is made elsewhere leads to the same session, once it is there", () => {
  const { alice, bob, peer, back, initiate, deliver, kinds } = pair();
  initiate(1_000);
  assert.deepEqual(kinds(), [], "nothing is said before there is an answer");
  deliver();
  const outputs = bob.drain();
  assert.deepEqual(
    outputs.map(({ kind }) => kind),
    ["endpoint-changed", "keypair-added", "transmit"],
  );
  const response = outputs.find((output) => output.kind === "transmit") ?? assert.fail();
  assert.equal(alice.receive(1_010, response.message, endpoint), undefined);
  assert.equal(peer.keyring.current?.remoteIndex, back.keyring.next?.localIndex);
  assert.deepEqual(peer.keyring.current?.sendKey, back.keyring.next?.receiveKey);
});

test("of two answers only that to the newer initiation counts, and the other's keys are erased", () => {
  const { back, initiate, deliver, kinds } = pair();
  initiate(1_000);
  initiate(7_000);
  const old = deliver();
  assert.deepEqual(kinds(), []);
  assert.ok([...old.sendKey, ...old.receiveKey].every((byte) => byte === 0));
  const { remoteIndex } = deliver();
  assert.deepEqual(kinds(), ["endpoint-changed", "keypair-added", "transmit"]);
  assert.equal(back.keyring.next?.remoteIndex, remoteIndex);
});

for (const [what, end] of [
  ["the peer is removed", ({ bob, back }) => bob.removePeer(1_001, back)],
  ["the interface goes down", ({ bob }) => bob.stop(1_001)],
  ["our key changes", ({ bob }) => bob.setPrivateKey(1_001, key(3))],
] satisfies [string, (all: ReturnType<typeof pair>) => void][]) {
  test(`an answer that comes when ${what} is dropped, and its keys are erased`, () => {
    const all = pair();
    all.initiate(1_000);
    end(all);
    all.bob.drain();
    const { sendKey, receiveKey } = all.deliver();
    assert.deepEqual(all.kinds(), []);
    assert.equal(all.back.keyring.next, undefined);
    assert.ok([...sendKey, ...receiveKey].every((byte) => byte === 0));
  });
}

test("an answer that could not be made leaves nothing behind, and the next one is", () => {
  const { initiate, waiting, deliver, kinds } = pair();
  initiate(1_000);
  waiting.shift()?.hand(undefined);
  assert.deepEqual(kinds(), []);
  initiate(7_000);
  deliver();
  assert.deepEqual(kinds(), ["endpoint-changed", "keypair-added", "transmit"]);
});
