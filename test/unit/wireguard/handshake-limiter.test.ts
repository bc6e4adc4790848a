import assert from "node:assert/strict";
import { test } from "node:test";
import { IpAddress } from "../../../src/base/address.ts";
import { HandshakeLimiter } from "../../../src/wireguard/handshake-limiter.ts";

const address = (text: string) => IpAddress.parse(text);

function allowed(limiter: HandshakeLimiter, source: string, times: number, now: number): number {
  let count = 0;
  for (let i = 0; i < times; i++) if (limiter.allow(now, address(source))) count++;
  return count;
}

test("five at once, then one each 50 ms", () => {
  const limiter = new HandshakeLimiter();
  assert.equal(allowed(limiter, "192.0.2.1", 10, 1_000), 5);
  assert.equal(allowed(limiter, "192.0.2.1", 10, 1_049), 0);
  assert.equal(allowed(limiter, "192.0.2.1", 10, 1_050), 1);
  assert.equal(allowed(limiter, "192.0.2.1", 10, 1_150), 2);
  assert.equal(allowed(limiter, "192.0.2.1", 10, 9_000), 5);
});

test("sources do not starve one another; an IPv6 /64 is one source", () => {
  const limiter = new HandshakeLimiter();
  assert.equal(allowed(limiter, "192.0.2.1", 10, 0), 5);
  assert.equal(allowed(limiter, "192.0.2.2", 10, 0), 5);
  assert.equal(allowed(limiter, "2001:db8::1", 10, 0), 5);
  assert.equal(allowed(limiter, "2001:db8::2:0:0:1", 10, 0), 0);
  assert.equal(allowed(limiter, "2001:db8:0:1::1", 10, 0), 5);
});

test("the table is bounded: full of busy sources it takes no new one, and forgets the idle", () => {
  const limiter = new HandshakeLimiter(3);
  for (const last of [1, 2, 3]) assert.equal(allowed(limiter, `192.0.2.${last}`, 1, 1_000 + last), 1);
  assert.equal(allowed(limiter, "192.0.2.9", 1, 1_100), 0);
  assert.equal(limiter.size, 3);
  assert.equal(allowed(limiter, "192.0.2.1", 1, 1_100), 1, "those it knows go on");
  assert.equal(allowed(limiter, "192.0.2.9", 1, 1_253), 1);
  assert.equal(limiter.size, 2, "both that had been idle were forgotten");
});
