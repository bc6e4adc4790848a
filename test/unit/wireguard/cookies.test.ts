import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { isZero } from "../../../src/base/bytes.ts";
import { PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { CookieRefreshTime } from "../../../src/wireguard/constants.ts";
import { CookieChecker, CookieJar } from "../../../src/wireguard/cookies.ts";
import { Initiation } from "../../../src/wireguard/messages.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

const source = Endpoint.parse("192.0.2.1:1001");
const responder = new PublicKey(new Uint8Array(32).fill(7));

function makeSides() {
  const random = new SeededRandom(1);
  const checker = new CookieChecker(native, (length) => random.bytes(length), responder);
  const jar = new CookieJar(native, responder);
  const send = (now: number) => {
    const message = new Uint8Array(Initiation.size).fill(1, 0, Initiation.mac1);
    jar.addMacs(now, message);
    return message;
  };
  return { checker, jar, send };
}

test("before a cookie there is mac1 alone; with one, mac2 is right for two minutes on both sides", () => {
  const { checker, jar, send } = makeSides();
  const first = send(0);
  assert.ok(checker.checkMac1(first));
  assert.ok(isZero(first.subarray(Initiation.mac2)));
  assert.ok(!checker.checkMac2(0, first, source));
  assert.equal(jar.consume(10, checker.reply(0, first, 5, source)), undefined);
  const fresh = send(CookieRefreshTime - 1);
  assert.ok(checker.checkMac2(CookieRefreshTime - 1, fresh, source));
  assert.ok(!checker.checkMac2(CookieRefreshTime, fresh, source), "the secret is over");
  assert.ok(isZero(send(CookieRefreshTime + 10).subarray(Initiation.mac2)), "and so is the cookie");
});

test("the secret changes every two minutes, and not with every reply", () => {
  const { checker, jar, send } = makeSides();
  jar.consume(0, checker.reply(0, send(0), 5, source));
  const message = send(1);
  checker.reply(CookieRefreshTime - 1, message, 5, source);
  assert.ok(checker.checkMac2(CookieRefreshTime - 1, message, source));
  checker.reply(CookieRefreshTime, message, 5, source);
  assert.ok(!checker.checkMac2(CookieRefreshTime, message, source));
});

test("a reply answers our last message, once; a forged one is refused and does no harm", () => {
  const { checker, jar, send } = makeSides();
  const stale = checker.reply(0, send(0), 5, source);
  assert.equal(new CookieJar(native, responder).consume(0, stale), "cookie-unexpected");
  const message = new Uint8Array(Initiation.size).fill(2, 0, Initiation.mac1);
  jar.addMacs(0, message);
  assert.equal(jar.consume(0, stale), "cookie-undecryptable");
  const reply = checker.reply(0, message, 5, source);
  assert.equal(jar.consume(0, reply), undefined);
  assert.equal(jar.consume(0, reply), "cookie-unexpected");
});
