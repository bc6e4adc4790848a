import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultLimits } from "../../../src/transport/datagram-link.ts";
import { type MemoryFaults, MemoryLink } from "../../../src/transport/memory-link.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { Inbox } from "./link-ends.ts";
import { VirtualClock } from "./virtual-clock.ts";

const count = 1000;

/** Sends numbered datagrams, one each millisecond, and returns what arrives. */
async function carry(faults: MemoryFaults, seed = 1): Promise<Uint8Array[]> {
  const clock = new VirtualClock();
  const random = new SeededRandom(seed);
  const [here, there] = MemoryLink.pair({ clock, random: () => random.fraction(), faults });
  const inbox = new Inbox(there);
  await Promise.resolve();
  for (let number = 0; number < count; number++) {
    here.send(numbered(number));
    clock.advance(1);
  }
  clock.advance(10_000);
  return inbox.datagrams;
}

function numbered(number: number): Uint8Array {
  return Uint8Array.of(number >> 8, number & 255, 0, 0, 0, 0, 0, 0);
}

const numberOf = (datagram: Uint8Array) => (datagram[0] << 8) | datagram[1];
const near = (actual: number, expected: number) => Math.abs(actual - expected) < 0.25 * expected;

test("without faults all arrives, as it was, in order", async () => {
  assert.deepEqual(
    await carry({ delayMs: 40 }),
    Array.from({ length: count }, (_, i) => numbered(i)),
  );
});

test("loss loses its share", async () => {
  const arrived = await carry({ loss: 0.2 });
  assert.ok(near(count - arrived.length, 200), `${arrived.length} arrived`);
});

test("duplication delivers its share twice", async () => {
  const arrived = await carry({ duplication: 0.1 });
  assert.equal(new Set(arrived.map(numberOf)).size, count);
  assert.ok(near(arrived.length - count, 100), `${arrived.length} arrived`);
});

test("corruption turns over one bit of its share", async () => {
  const bits = (await carry({ corruption: 0.1 })).map((datagram, i) => {
    const sent = numbered(i);
    return datagram.reduce((sum, byte, at) => sum + (byte ^ sent[at]).toString(2).replaceAll("0", "").length, 0);
  });
  assert.deepEqual([...new Set(bits)].sort(), [0, 1]);
  assert.ok(near(bits.filter((each) => each === 1).length, 100));
});

test("jitter reorders, and nothing is lost", async () => {
  const numbers = (await carry({ jitterMs: 10 })).map(numberOf);
  const later = numbers.filter((number, i) => i > 0 && number < numbers[i - 1]);
  assert.ok(later.length > 50, `${later.length} came before one that was sent later`);
  assert.deepEqual(
    numbers.sort((a, b) => a - b),
    Array.from({ length: count }, (_, i) => i),
  );
});

test("the same seed does the same, another does not", async () => {
  const faults = { loss: 0.1, duplication: 0.1, corruption: 0.1, jitterMs: 5 };
  assert.deepEqual(await carry(faults, 5), await carry(faults, 5));
  assert.notDeepEqual(await carry(faults, 5), await carry(faults, 6));
});

test("what is on its way fills the queue, and what has arrived leaves it", async () => {
  const clock = new VirtualClock();
  const limits = { ...defaultLimits, queueBytes: 2000 };
  const [here, there] = MemoryLink.pair({ clock, random: () => 0.5, faults: { delayMs: 100 }, limits });
  const inbox = new Inbox(there);
  await Promise.resolve();
  assert.equal(here.send(new Uint8Array(1000)), undefined);
  assert.equal(here.send(new Uint8Array(1000)), undefined);
  assert.equal(here.send(new Uint8Array(1)), "queue-full");
  clock.advance(100);
  assert.equal(here.send(new Uint8Array(1)), undefined);
  assert.equal(inbox.datagrams.length, 2);
});
