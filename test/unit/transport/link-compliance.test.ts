/** What every datagram link promises (`src/transport/datagram-link.ts`), asked of each. Memory is the reference. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { type DatagramLink, defaultLimits, largestDatagram } from "../../../src/transport/datagram-link.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { Inbox, linkKinds, opening } from "./link-ends.ts";

const random = new SeededRandom(7);

/** The moment `expire` is first called at. */
const start = 5000;

for (const [kind, open] of Object.entries(linkKinds)) {
  describe(`a link over ${kind}`, { timeout: 60_000 }, () => {
    test("delivers datagrams whole, in order, both ways", async () => {
      using ends = await open();
      const [here, there] = [new Inbox(ends.dialled), new Inbox(ends.accepted)];
      await there.holds(1); // the one that opened it
      const lengths = [1, 2, 3, 31, 32, 92, 148, 511, 1452, 1453, 9000];
      const sent = lengths.map((length) => random.bytes(length));
      for (const datagram of sent) {
        assert.equal(ends.dialled.send(datagram), undefined);
        assert.equal(ends.accepted.send(datagram), undefined);
      }
      assert.deepEqual(await there.holds(1 + sent.length), [opening, ...sent]);
      assert.deepEqual(await here.holds(sent.length), sent);
    });

    test("takes a copy of what it is given", async () => {
      using ends = await open();
      const [here, there] = [new Inbox(ends.dialled), new Inbox(ends.accepted)];
      await there.holds(1);
      const datagram = random.bytes(100);
      const original = Uint8Array.from(datagram);
      for (const link of [ends.dialled, ends.accepted]) link.send(datagram);
      datagram.fill(0);
      assert.deepEqual((await there.holds(2))[1], original);
      assert.deepEqual((await here.holds(1))[0], original);
    });

    test("carries the largest datagram there is, and nothing larger, and none that is empty", async () => {
      using ends = await open();
      const there = new Inbox(ends.accepted);
      const largest = random.bytes(largestDatagram);
      assert.equal(ends.dialled.send(new Uint8Array(largestDatagram + 1)), "datagram-too-large");
      assert.equal(ends.dialled.send(new Uint8Array(0)), "datagram-empty");
      assert.equal(ends.dialled.send(largest), undefined);
      assert.deepEqual((await there.holds(2))[1], largest);
      assert.equal(ends.dialled.counters.dropped["datagram-too-large"], 1);
      assert.equal(ends.dialled.counters.dropped["datagram-empty"], 1);
    });

    test("counts what it has sent and received", async () => {
      using ends = await open();
      const [here, there] = [new Inbox(ends.dialled), new Inbox(ends.accepted)];
      ends.dialled.send(random.bytes(1000));
      ends.accepted.send(random.bytes(10));
      await Promise.all([there.holds(2), here.holds(1)]);
      for (const [link, sent, received] of [
        [ends.dialled, [2, 1032], [1, 10]],
        [ends.accepted, [1, 10], [2, 1032]],
      ] satisfies [DatagramLink, number[], number[]][]) {
        const { sentDatagrams, sentBytes, receivedDatagrams, receivedBytes } = link.counters;
        assert.deepEqual([sentDatagrams, sentBytes], sent);
        assert.deepEqual([receivedDatagrams, receivedBytes], received);
      }
    });

    test("drops what the other end does not take, rather than wait or collect, and carries on afterwards", async () => {
      using ends = await open();
      const datagram = random.bytes(16_000);
      // Loopback's buffers hold some megabytes; the queue is a fraction of that.
      let tries = 0;
      while (ends.dialled.send(datagram) !== "queue-full") {
        tries++;
        assert.ok(tries < 4000, "64 MB went nowhere, and nothing was dropped");
        await turn();
      }
      for (let i = 0; i < 100; i++) assert.equal(ends.dialled.send(datagram), "queue-full");
      assert.equal(ends.dialled.counters.dropped["queue-full"], 101);
      const there = new Inbox(ends.accepted);
      await there.holds(1 + tries);
      const last = random.bytes(99);
      assert.equal(ends.dialled.send(last), undefined);
      assert.deepEqual((await there.holds(2 + tries))[1 + tries], last);
    });

    test("tells both ends, each once, that it has ended, and by whom", async () => {
      using ends = await open();
      const [here, there] = [new Inbox(ends.dialled), new Inbox(ends.accepted)];
      await there.holds(1);
      ends.dialled.close();
      assert.equal(here.reason, "closed-here");
      assert.equal(await there.end(), "closed-there");
      for (const link of [ends.dialled, ends.accepted]) {
        assert.equal(link.send(opening), "link-closed");
        link.close();
      }
      assert.equal(here.reason, "closed-here");
    });

    test("tells who receives only after its end, too", async () => {
      using ends = await open();
      ends.accepted.close("crowded-out");
      assert.equal(await new Inbox(ends.accepted).end(), "crowded-out");
    });

    test("can be ended while it delivers, and then delivers nothing more", async () => {
      using ends = await open();
      let delivered = 0;
      const { promise: end, resolve } = Promise.withResolvers<void>();
      ends.accepted.receive({
        datagram: () => {
          delivered++;
          if (delivered === 2) ends.accepted.close(); // the first came alone, the others come in one piece
        },
        closed: () => resolve(),
      });
      for (let i = 0; i < 10; i++) ends.dialled.send(opening);
      await end;
      await turn();
      assert.equal(delivered, 2);
    });

    test("ends when nothing comes or goes for too long, and not while something does", async () => {
      using ends = await open({ ...defaultLimits, idleMs: 100 });
      const there = new Inbox(ends.accepted);
      await there.holds(1);
      ends.accepted.expire(start);
      ends.accepted.expire(start + 99);
      ends.dialled.send(opening);
      await there.holds(2);
      ends.accepted.expire(start + 199);
      ends.accepted.expire(start + 298);
      assert.equal(there.reason, undefined);
      ends.accepted.expire(start + 299);
      assert.equal(there.reason, "idle");
    });

    if (kind !== "memory") {
      test("ends when the other end takes nothing for too long", async () => {
        using ends = await open({ ...defaultLimits, stallMs: 100 });
        const here = new Inbox(ends.dialled);
        for (let tries = 0; ends.dialled.send(new Uint8Array(60_000)) === undefined; tries++) {
          assert.ok(tries < 1000, "60 MB went nowhere, and nothing was dropped");
          await turn();
        }
        ends.dialled.expire(start);
        ends.dialled.expire(start + 99);
        assert.equal(here.reason, undefined);
        ends.dialled.expire(start + 100);
        assert.equal(here.reason, "stalled");
      });
    }
  });
}

test("a WebSocket that answers no ping has lost its other end, one that does has not", async () => {
  using ends = await linkKinds.ws();
  const [here, there] = [new Inbox(ends.dialled), new Inbox(ends.accepted)];
  await there.holds(1);
  ends.dialled.expire(start);
  ends.dialled.expire(start + 29_999); // asks; nobody has had time to answer
  ends.dialled.expire(start + 30_000);
  assert.equal(here.reason, "unanswered");
  await there.end();

  using other = await linkKinds.ws();
  const inbox = new Inbox(other.dialled);
  new Inbox(other.accepted); // takes what comes, pings too
  other.dialled.expire(start);
  other.dialled.expire(start + 20_000);
  await pause(200); // nothing shows that a pong has come
  other.dialled.expire(start + 40_000);
  assert.equal(inbox.reason, undefined);
});
