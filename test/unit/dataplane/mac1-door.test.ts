import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { Mac1Door, publishMac1Key } from "../../../src/dataplane/mac1-door.ts";
import { Control, SharedMemory, sharedMemorySize } from "../../../src/dataplane/shared-memory.ts";
import { CookieJar, mac1KeyOf } from "../../../src/wireguard/cookies.ts";
import { Initiation, Response } from "../../../src/wireguard/messages.ts";
import { Workbench } from "./workbench.ts";

const layout = { maximumPeers: 1 };
const alice = new PublicKey(new Uint8Array(32).fill(1));
const bob = new PublicKey(new Uint8Array(32).fill(2));
const keyOf = (key: PublicKey) => mac1KeyOf(native, key);

function addressedTo(key: PublicKey, message: Uint8Array): Uint8Array {
  new CookieJar(native, key).addMacs(0, message);
  return message;
}

function door() {
  const memory = new SharedMemory(new ArrayBuffer(sharedMemorySize(layout)), 0, layout);
  const bytes = new Uint8Array(256);
  const mac1 = new Mac1Door(memory, bytes);
  const admits = (message: Uint8Array, at = 3) => {
    bytes.fill(0xa5);
    bytes.set(message, at);
    return mac1.admits(at, message.length);
  };
  return { memory, admits };
}

test("only messages with the right mac1 pass, whatever they are, wherever they lie", () => {
  const { memory, admits } = door();
  publishMac1Key(memory, keyOf(alice));
  fc.assert(
    fc.property(
      fc
        .constantFrom(Initiation.size, Response.size)
        .chain((size) => fc.uint8Array({ minLength: size, maxLength: size })),
      fc.nat(15),
      fc.nat(7),
      (content, at, bit) => {
        const message = addressedTo(alice, content.slice());
        assert.ok(admits(message, at));
        const damagedAt = (content[4] * 256 + content[5]) % (message.length - 16); // mac2 is no matter of the door
        message[damagedAt] ^= 1 << bit;
        assert.ok(!admits(message, at));
      },
    ),
    { numRuns: 300 },
  );
});

test("the door stands open where there is no key, or while main changes it, and knows a new key at once", () => {
  const { memory, admits } = door();
  const [toAlice, toBob] = [alice, bob].map((key) => addressedTo(key, new Uint8Array(Initiation.size)));
  const passes = () => [admits(toAlice), admits(toBob)];
  assert.deepEqual(passes(), [true, true]);
  publishMac1Key(memory, keyOf(alice));
  assert.deepEqual(passes(), [true, false]);
  publishMac1Key(memory, keyOf(bob));
  assert.deepEqual(passes(), [false, true]);
  publishMac1Key(memory, undefined);
  assert.deepEqual(passes(), [true, true]);
  publishMac1Key(memory, undefined);
  publishMac1Key(memory, keyOf(alice));
  assert.deepEqual(passes(), [true, false]);
  memory.words[Control.mac1Version]++;
  assert.deepEqual(passes(), [true, true]);
});

test("junk ends in the inbound worker; a cookie reply, which has no mac1, goes on to main", () => {
  using bed = new Workbench();
  publishMac1Key(bed.memory, keyOf(alice));
  for (const [type, size] of [
    [Initiation.type, Initiation.size],
    [Response.type, Response.size],
  ]) {
    const message = new Uint8Array(size);
    message[0] = type;
    bed.toNetwork(message);
    bed.toNetwork(addressedTo(alice, message.slice()));
  }
  bed.toNetwork(Uint8Array.from({ length: 64 }, (_, i) => (i === 0 ? 3 : 0)));
  bed.receive();
  const passed: number[] = [];
  for (const ring = bed.memory.handshakes; ring.next(); ring.release())
    passed.push(bed.memory.bytes[ring.payload + 56]);
  assert.deepEqual(passed, [1, 2, 3]);
  assert.deepEqual({ ...bed.memory.drops() }, { "mac1-invalid": 2 });
});
