/** More peers than can be shaken hands with at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../src/base/address.ts";
import { PrivateKey, PublicKey } from "../../src/base/keys.ts";
import { native } from "../../src/crypto/native.ts";
import { HandshakesPerTurn, RekeyTimeout } from "../../src/wireguard/constants.ts";
import { Device } from "../../src/wireguard/device.ts";
import type { Peer } from "../../src/wireguard/peer.ts";
import { SeededRandom } from "./seeded-random.ts";

const count = 3 * HandshakesPerTurn + 1;
const everyMs = 25_000;

class Crowd {
  readonly peers: Peer[] = [];
  readonly #device: Device;
  #now = 1_000_000;

  constructor(persistentKeepaliveMs?: number) {
    const random = new SeededRandom(1);
    this.#device = new Device({
      primitives: native,
      random: (length) => random.bytes(length),
      wallClock: () => this.#now + 1_750_000_000_000,
    });
    this.#device.setPrivateKey(this.#now, new PrivateKey(random.bytes(32)));
    for (let id = 0; id < count; id++) {
      const publicKey = new PublicKey(native.publicKey(random.bytes(32)));
      const endpoint = Endpoint.parse(`192.0.2.1:${1 + id}`);
      const keepalive = persistentKeepaliveMs === undefined ? {} : { persistentKeepaliveMs };
      this.peers.push(this.#device.addPeer(this.#now, { id, publicKey, endpoint, ...keepalive }));
    }
  }

  get device(): Device {
    return this.#device;
  }

  get now(): number {
    return this.#now;
  }

  /** Whom initiations have gone to since the last call. */
  called(): (number | undefined)[] {
    return this.#device.drain().flatMap((output) => (output.kind === "transmit" ? output.peer?.id : []));
  }

  /** Whom initiations go to in each look of a driver that looks as often as it is asked to, until nothing is due. */
  looks(): (number | undefined)[][] {
    const looks = [];
    while ((this.#device.nextDeadline() ?? Number.POSITIVE_INFINITY) <= this.#now) {
      assert.ok(looks.length < 2 * count, "it never ends");
      this.#device.expire(this.#now);
      looks.push(this.called());
      this.#now++;
    }
    return looks;
  }

  wait(ms: number): void {
    this.#now += ms;
  }
}

function assertShared(looks: readonly (readonly unknown[])[]): void {
  assert.ok(looks.every((look) => look.length <= HandshakesPerTurn));
  assert.equal(looks.length, 4);
  assert.equal(new Set(looks.flat()).size, count, "everyone has been called");
  assert.equal(looks.flat().length, count, "and once only");
}

test("where all are to be kept alive, some are called at each look, until all were", () => {
  const crowd = new Crowd(everyMs);
  assertShared(crowd.looks());
  crowd.wait(RekeyTimeout + 400); // and nobody answers
  assertShared(crowd.looks());
});

test("what begins for all at once, such as the interface, does not call all at once", () => {
  const crowd = new Crowd();
  for (const peer of crowd.peers) crowd.device.setPersistentKeepalive(crowd.now, peer, everyMs);
  assert.equal(crowd.called().length, HandshakesPerTurn);
  const [...later] = crowd.looks();
  assert.equal(later.flat().length, count - HandshakesPerTurn);
  crowd.device.stop(crowd.now);
  crowd.device.expire(crowd.now);
  crowd.device.start(crowd.now);
  assert.equal(crowd.called().length, HandshakesPerTurn);
  crowd.looks();
  crowd.wait(1_000);
  for (const peer of crowd.peers) assert.ok(crowd.device.shakeHands(crowd.now, peer), "each will be called");
  assert.equal(crowd.called().length + crowd.looks().flat().length, count);
});

test("a packet does not wait for the turn of its peer", () => {
  const crowd = new Crowd(everyMs);
  crowd.device.expire(crowd.now);
  const called = new Set(crowd.called());
  const waiting = crowd.peers.find((peer) => !called.has(peer.id)) ?? assert.fail();
  crowd.device.send(crowd.now, waiting, new Uint8Array(20));
  assert.deepEqual(crowd.called(), [waiting.id]);
  assert.equal(crowd.looks().flat().includes(waiting.id), false);
});

test("where not even one look after the other suffices, nobody is called twice before all were called", () => {
  const crowd = new Crowd(everyMs);
  const turns = [];
  for (let look = 0; look < 8; look++) {
    crowd.device.expire(crowd.now);
    turns.push(...crowd.called());
    crowd.wait(RekeyTimeout + 400);
  }
  assert.equal(turns.length, 8 * HandshakesPerTurn);
  for (let begin = 0; begin + count <= turns.length; begin++) {
    const round: Set<number | undefined> = new Set(turns.slice(begin, begin + count));
    assert.ok(round.size >= count - HandshakesPerTurn, `${round.size} of ${count}`);
  }
});
