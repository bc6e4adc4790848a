import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint, IpAddress } from "../../../src/base/address.ts";
import { isZero, toHex } from "../../../src/base/bytes.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { CookieChecker, CookieJar } from "../../../src/wireguard/cookies.ts";
import {
  authenticateInitiation,
  consumeResponse,
  createInitiation,
  createResponse,
  openInitiation,
} from "../../../src/wireguard/handshake.ts";
import * as reference from "../../reference/handshake.ts";
import { cookieInput, dataInput, golden, secrets } from "../../vectors/handshake.ts";

const initiator = identity(secrets.Si);
const responder = identity(secrets.Sr);
const presharedKey = new PresharedKey(secrets.Q);
const staticStatic = native.x25519(secrets.Si, responder.publicKey.bytes) ?? assert.fail();
const towardsResponder = { publicKey: responder.publicKey, presharedKey, staticStatic };
const towardsInitiator = { publicKey: initiator.publicKey, presharedKey, staticStatic };

test("a whole handshake, byte for byte as the whitepaper's equations give it", () => {
  const { initiation, initiated, response, responderKeys } = handshake();
  const initiatorKeys = consumeResponse(native, initiator, presharedKey, initiated, response);
  assert.ok(initiatorKeys);
  const expected = reference.transcript(secrets);
  assert.deepEqual(initiation, expected.initiation);
  assert.deepEqual(response, expected.response);
  assert.deepEqual(initiatorKeys, { remoteIndex: secrets.Ir, sendKey: expected.Ti, receiveKey: expected.Tr });
  assert.deepEqual(responderKeys, { remoteIndex: secrets.Ii, sendKey: expected.Tr, receiveKey: expected.Ti });
});

test("golden bytes: initiation, response, keys, data and cookie reply", () => {
  const { initiation, response, responderKeys } = handshake();
  assert.equal(toHex(initiation), golden.initiation);
  assert.equal(toHex(response), golden.response);
  assert.equal(toHex(responderKeys.receiveKey), golden.initiatorKey);
  assert.equal(toHex(responderKeys.sendKey), golden.responderKey);
  const { counter, padded } = dataInput;
  assert.equal(toHex(reference.data(responderKeys.receiveKey, secrets.Ir, counter, padded)), golden.data);
  assert.equal(toHex(cookieReply(initiation)), golden.cookieReply);
});

test("the cookie reply, opened, makes the mac2 that the whitepaper's equations give", () => {
  const jar = new CookieJar(native, responder.publicKey);
  const { initiation } = handshake(jar);
  const reply = cookieReply(initiation);
  const { cookie, reply: expected } = reference.cookieReply({
    ...cookieInput,
    address: IpAddress.parse(cookieInput.address).bytes,
    responder: responder.publicKey.bytes,
    receiver: secrets.Ii,
    mac1: initiation.subarray(116, 132),
  });
  assert.deepEqual(reply, expected);
  assert.equal(jar.consume(1_000, reply), undefined);
  const again = initiation.slice();
  jar.addMacs(1_000, again);
  assert.deepEqual(again, reference.macs(initiation.subarray(0, 116), responder.publicKey.bytes, cookie));
});

test("each flipped bit of an initiation or response that matters makes it unreadable", () => {
  const { initiation, initiated, response } = handshake();
  for (let at = 8; at < 116; at++) {
    const damaged = initiation.slice();
    damaged[at] ^= 1;
    const opened = openInitiation(native, responder, damaged);
    const stamp = opened?.publicKey.equals(initiator.publicKey) && authenticateInitiation(opened, staticStatic);
    assert.ok(!stamp, `byte ${at}`);
  }
  for (let at = 12; at < 60; at++) {
    const damaged = response.slice();
    damaged[at] ^= 1;
    assert.equal(consumeResponse(native, initiator, presharedKey, initiated, damaged), undefined, `byte ${at}`);
  }
  assert.ok(
    consumeResponse(native, initiator, presharedKey, initiated, response),
    "and none of them spoiled the state",
  );
});

test("another preshared key, another responder, another claimed sender: no session", () => {
  const { initiation, initiated, response } = handshake();
  assert.equal(consumeResponse(native, initiator, PresharedKey.none, initiated, response), undefined);
  assert.equal(openInitiation(native, identity(new Uint8Array(32).fill(4)), initiation), undefined);
  const opened = openInitiation(native, responder, initiation) ?? assert.fail();
  assert.equal(authenticateInitiation(opened, new Uint8Array(32).fill(1)), undefined);
});

test("keys of low order are refused in every place they can stand", () => {
  const zero = new Uint8Array(32);
  const publicKey = new PublicKey(zero);
  const input = { localIndex: 1, ephemeral: secrets.Ei.slice(), timestamp: secrets.timestamp };
  assert.equal(createInitiation(native, initiator, { ...towardsResponder, publicKey }, input), undefined);
  const { initiation, initiated, response } = handshake();
  const withZero = (message: Uint8Array, at: number) => {
    const copy = message.slice();
    copy.fill(0, at, at + 32);
    return copy;
  };
  assert.equal(openInitiation(native, responder, withZero(initiation, 8)), undefined);
  assert.equal(consumeResponse(native, initiator, presharedKey, initiated, withZero(response, 12)), undefined);
  // Not even where the other side goes on as if secrets of zero were none.
  const state = initiated.state.clone();
  state.mixEphemeral(zero);
  state.mixKeyAndHash(presharedKey.bytes);
  const skipped = withZero(response, 12);
  skipped.set(state.encryptAndHash(new Uint8Array(0)), 44);
  assert.equal(consumeResponse(native, initiator, presharedKey, initiated, skipped), undefined);
});

test("ephemerals and chaining keys are wiped when the handshake ends", () => {
  const { initiated, responderEphemeral } = handshake();
  assert.ok(isZero(responderEphemeral));
  assert.ok(!isZero(initiated.ephemeral));
  initiated[Symbol.dispose]();
  assert.ok(isZero(initiated.ephemeral));
});

function handshake(jar = new CookieJar(native, responder.publicKey)) {
  const created = createInitiation(native, initiator, towardsResponder, {
    localIndex: secrets.Ii,
    ephemeral: secrets.Ei.slice(),
    timestamp: secrets.timestamp,
  });
  assert.ok(created);
  const { message: initiation, initiated } = created;
  jar.addMacs(0, initiation);
  const opened = openInitiation(native, responder, initiation);
  assert.ok(opened);
  assert.ok(opened.publicKey.equals(initiator.publicKey));
  assert.deepEqual(authenticateInitiation(opened, staticStatic), secrets.timestamp);
  const responderEphemeral = secrets.Er.slice();
  const answer = { localIndex: secrets.Ir, ephemeral: responderEphemeral };
  const responded = createResponse(native, towardsInitiator, opened, answer);
  assert.ok(responded);
  const { message: response, keys: responderKeys } = responded;
  new CookieJar(native, initiator.publicKey).addMacs(0, response);
  return { initiation, initiated, response, responderKeys, responderEphemeral };
}

function cookieReply(initiation: Uint8Array): Uint8Array {
  const random = (length: number) => (length === 24 ? cookieInput.nonce : cookieInput.secret).slice();
  const checker = new CookieChecker(native, random, responder.publicKey);
  const source = new Endpoint(IpAddress.parse(cookieInput.address), cookieInput.port);
  return checker.reply(0, initiation, secrets.Ii, source);
}

function identity(secret: Uint8Array) {
  return { privateKey: new PrivateKey(secret), publicKey: new PublicKey(native.publicKey(secret)) };
}
