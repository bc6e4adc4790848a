import assert from "node:assert/strict";
import { test } from "node:test";
import { idleActivity, noteReceived, noteSent } from "../../../src/wireguard/activity.ts";
import * as constants from "../../../src/wireguard/constants.ts";
import { Timers } from "../../../src/wireguard/timers.ts";

const never = Number.POSITIVE_INFINITY;

function makeTimers() {
  const activity = idleActivity();
  return { activity, timers: new Timers(activity) };
}

test("the protocol's numbers are the whitepaper's and the field's", () => {
  const { RekeyAfterTime, RejectAfterTime, RekeyAttemptTime, RekeyTimeout, KeepaliveTimeout } = constants;
  assert.deepEqual(
    [RekeyAfterTime, RejectAfterTime, RekeyAttemptTime, RekeyTimeout, KeepaliveTimeout],
    [120_000, 180_000, 90_000, 5_000, 10_000],
  );
  assert.equal(constants.RekeyTimeoutJitterMax, 334);
  assert.equal(constants.MaxTimerHandshakes, 18);
  assert.equal(constants.CookieRefreshTime, 120_000);
  assert.equal(constants.HandshakeInitiationInterval, 20);
  assert.equal(constants.UnderLoadAfterTime, 1_000);
  assert.deepEqual([constants.LimiterRatePerSecond, constants.LimiterBurst], [20, 5]);
  assert.deepEqual([constants.PaddingMultiple, constants.MaxStagedPackets], [16, 128]);
  assert.deepEqual([constants.RekeyAfterMessages, constants.RejectAfterMessages], [2 ** 47, 2 ** 48]);
});

test("a peer with whom nothing happened has no deadline", () => {
  assert.equal(makeTimers().timers.next(), never);
});

test("silence is counted from the first unanswered data, which later data does not move", () => {
  const { activity, timers } = makeTimers();
  timers.silenceJitter = 100;
  noteSent(activity, 50_000, true);
  noteSent(activity, 60_000, true);
  assert.equal(timers.deadline("silence"), 65_100);
  noteReceived(activity, 61_000, false);
  assert.equal(timers.deadline("silence"), never);
  noteSent(activity, 62_000, false);
  assert.equal(timers.deadline("silence"), never, "a keepalive asks for no answer");
});

test("the passive keepalive is counted from the first unacknowledged data", () => {
  const { activity, timers } = makeTimers();
  noteReceived(activity, 50_000, false);
  assert.equal(timers.deadline("passive-keepalive"), never, "a keepalive is not answered");
  noteReceived(activity, 51_000, true);
  noteReceived(activity, 55_000, true);
  assert.equal(timers.deadline("passive-keepalive"), 61_000);
  noteSent(activity, 56_000, false);
  assert.equal(timers.deadline("passive-keepalive"), never);
});

test("the persistent keepalive is counted from what last moved in either direction, or was last asked for", () => {
  const { activity, timers } = makeTimers();
  timers.persistentKeepaliveMs = 25_000;
  assert.equal(timers.deadline("persistent-keepalive"), 0, "the first is due at once");
  noteSent(activity, 10_000, false);
  noteReceived(activity, 12_000, false);
  assert.equal(timers.deadline("persistent-keepalive"), 37_000);
  timers.persistentRequestedAt = 37_000;
  assert.equal(timers.deadline("persistent-keepalive"), 62_000);
});

test("erasure is counted from the last derivation: three lifetimes", () => {
  const { timers } = makeTimers();
  timers.scheduleErasure(1_000);
  timers.scheduleErasure(5_000);
  assert.equal(timers.deadline("erasure"), 545_000);
  assert.equal(timers.next(), 545_000);
});
