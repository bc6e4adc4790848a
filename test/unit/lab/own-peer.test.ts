/** The lab's own peer against the responder's half of `wireguard/handshake.ts`, and what its record says of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, toHex } from "../../../src/base/bytes.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { nonceOf } from "../../../src/crypto/primitives.ts";
import { OwnPeer } from "../../../src/lab/own-peer.ts";
import { RecordedPrimitives } from "../../../src/lab/recorded-primitives.ts";
import { CookieChecker } from "../../../src/wireguard/cookies.ts";
import { authenticateInitiation, createResponse, openInitiation } from "../../../src/wireguard/handshake.ts";
import { Data, readCounter } from "../../../src/wireguard/messages.ts";
import { stampAfter } from "../../../src/wireguard/timestamp.ts";

const identity = (fill: number) => {
  const privateKey = new PrivateKey(new Uint8Array(32).fill(fill));
  return { privateKey, publicKey: new PublicKey(native.publicKey(privateKey.bytes)) };
};
const client = identity(1);
const server = identity(2);
const presharedKey = new PresharedKey(new Uint8Array(32).fill(3));
const nothing = new Uint8Array(0);

function handshake(primitives = new RecordedPrimitives(native)) {
  const peer = new OwnPeer({ primitives, identity: client, peer: server.publicKey, presharedKey });
  const timestamp = stampAfter(undefined, 1_700_000_000_000);
  const initiation = peer.initiate({ localIndex: 11, ephemeral: new Uint8Array(32).fill(4), timestamp });
  const opened = initiation && openInitiation(native, server, initiation);
  assert.ok(initiation !== undefined && opened !== undefined);
  const staticStatic = native.x25519(server.privateKey.bytes, client.publicKey.bytes);
  assert.ok(staticStatic !== undefined && authenticateInitiation(opened, staticStatic) !== undefined);
  const correspondent = { publicKey: client.publicKey, presharedKey, staticStatic };
  const made = createResponse(native, correspondent, opened, { localIndex: 22, ephemeral: new Uint8Array(32).fill(5) });
  assert.ok(made !== undefined);
  return { peer, primitives, initiation, response: made.message, keys: made.keys };
}

test("its initiation has a right mac1, and both sides end up with the same keys", () => {
  const { peer, initiation, response, keys } = handshake();
  assert.ok(new CookieChecker(native, () => nothing, server.publicKey).checkMac1(initiation));
  const session = peer.complete(response) ?? assert.fail("refused");
  assert.deepEqual([session.localIndex, session.remoteIndex], [11, 22]);
  assert.deepEqual([session.sendKey, session.receiveKey], [keys.receiveKey, keys.sendKey]);
  assert.equal(peer.complete(response), undefined, "one initiation, one session");
});

test("a response that was changed makes no session", () => {
  const { peer, response } = handshake();
  response[50] ^= 1;
  assert.equal(peer.complete(response), undefined);
});

test("data messages are padded, counted, and opened by the other side; those of other sessions are not", () => {
  const { peer, response, keys } = handshake();
  const session = peer.complete(response) ?? assert.fail("refused");
  const messages = [peer.seal(session, new Uint8Array(20).fill(7)), peer.seal(session, new Uint8Array(32))];
  assert.deepEqual(
    messages.map((message) => [message.length, readCounter(message, Data.counter)]),
    [
      [64, 0],
      [64, 1],
    ],
  );
  const packet = native.open(keys.receiveKey, nonceOf(0), messages[0].subarray(Data.payload), nothing);
  assert.equal(toHex(packet ?? nothing), "07".repeat(20) + "00".repeat(12));
  const reply = (receiver: number) =>
    concatBytes(
      Uint8Array.of(4, 0, 0, 0, receiver, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0),
      native.seal(keys.sendKey, nonceOf(9), new Uint8Array(16).fill(8), nothing),
    );
  assert.equal(toHex(peer.open(reply(11)) ?? nothing), "08".repeat(16));
  assert.equal(peer.open(reply(12)), undefined);
});

test("the record has everything that was hashed, in order, with the published first hash, and no secret", () => {
  const { peer, primitives, response } = handshake();
  peer.complete(response);
  const { mixed } = primitives;
  assert.deepEqual(
    mixed.map(({ data }) => data.length),
    [34, 32, 32, 48, 28, 32, 32, 16],
  );
  assert.deepEqual(
    mixed.map(({ chainings }) => chainings),
    [0, 0, 0, 2, 3, 3, 7, 7],
  );
  assert.equal(toHex(mixed[0].hash), "2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3");
  assert.equal(toHex(mixed[1].data), server.publicKey.hex);
  for (const [i, { data, hash }] of mixed.entries()) {
    if (i > 0) assert.equal(toHex(hash), toHex(native.hash(mixed[i - 1].hash, data)), `entry ${i}`);
  }
  peer.initiate({ localIndex: 1, ephemeral: new Uint8Array(32).fill(6), timestamp: stampAfter(undefined, 0) });
  assert.equal(primitives.mixed.length, 5, "a new handshake begins a new record");
});
