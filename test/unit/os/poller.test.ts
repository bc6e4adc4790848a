import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { getHeapStatistics } from "node:v8";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { Arena } from "../../../src/os/arena.ts";
import { BootClock, bootTime } from "../../../src/os/clock.ts";
import { EventDescriptor } from "../../../src/os/event-descriptor.ts";
import { POLLIN, POLLNVAL, POLLOUT, Poller, pollerSize } from "../../../src/os/poller.ts";

if (isMainThread) {
  test("an eventfd is ready from the signal until it is drained", () => {
    using arena = new Arena({ size: 65_536 });
    using event = EventDescriptor.create();
    const poller = new Poller(arena, 64, [event.fd]);
    assert.equal(poller.wait(0), 0);
    event.signal();
    event.signal();
    assert.equal(poller.wait(-1), 1);
    assert.equal(poller.ready(0), POLLIN);
    assert.equal(event.drain(), true);
    assert.equal(event.drain(), false);
    assert.equal(poller.wait(0), 0);
    assert.equal(poller.ready(0), 0);
  });

  test("waiting ends when the time is over, and not before", () => {
    using arena = new Arena({ size: 65_536 });
    using event = EventDescriptor.create();
    const poller = new Poller(arena, 0, [event.fd]);
    const before = bootTime();
    assert.equal(poller.wait(10), 0);
    assert.ok(bootTime() - before >= 10);
  });

  test("fractions of a millisecond are waited for as such", () => {
    using arena = new Arena({ size: 65_536 });
    using event = EventDescriptor.create();
    const poller = new Poller(arena, 0, [event.fd]);
    const waits = Array.from({ length: 10 }, () => {
      const before = bootTime();
      poller.wait(0.2);
      return bootTime() - before;
    });
    const shortest = Math.min(...waits);
    assert.ok(shortest >= 0.2 && shortest < 1, `${shortest} ms`);
    const before = bootTime();
    assert.equal(poller.wait(1000.5 - 990), 0);
    assert.ok(bootTime() - before >= 10.5);
  });

  test("each descriptor has its place: -1 is passed over, a closed one is told", () => {
    using arena = new Arena({ size: 65_536 });
    using event = EventDescriptor.create();
    const closed = EventDescriptor.create();
    const poller = new Poller(arena, 8, [-1, event.fd, closed.fd]);
    closed[Symbol.dispose]();
    poller.watch(1, POLLIN | POLLOUT);
    assert.equal(poller.wait(0), 2);
    assert.deepEqual([poller.ready(0), poller.ready(1), poller.ready(2)], [0, POLLOUT, POLLNVAL]);
    assert.equal(pollerSize(3), 40);
  });

  test("a thread blocked in poll is woken by a signal from another", { timeout: 20_000 }, async () => {
    using event = EventDescriptor.create();
    const worker = new Worker(new URL(import.meta.url), { workerData: event.fd });
    assert.deepEqual(await once(worker, "message"), ["about to wait"]);
    event.signal();
    assert.deepEqual(await once(worker, "message"), [POLLIN]);
    await worker.terminate();
  });

  test("waiting, signalling and draining in a loop allocate nothing", () => {
    using arena = new Arena({ size: 65_536 });
    using event = EventDescriptor.create();
    const poller = new Poller(arena, 0, [event.fd]);
    const number = 64;
    const spare = 72;
    new Uint8Array(arena.buffer)[number] = 1;
    let ready = 0;
    const turn = () => {
      event.signalFrom(arena.base + number);
      ready += poller.wait(0) & poller.ready(0);
      if (!event.drainInto(arena.base + spare)) ready = Number.NaN;
    };
    const turns = 50_000;
    let allocated = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 4; round++) {
      const before = getHeapStatistics().total_allocated_bytes;
      for (let i = 0; i < turns; i++) turn();
      // The least of all rounds: in the first ones V8 allocates for its own code, and to be asked costs some 200 kB.
      allocated = Math.min(allocated, getHeapStatistics().total_allocated_bytes - before);
    }
    assert.equal(ready, 4 * turns);
    // One boxed number, 12 bytes in each turn, would be more.
    assert.ok(allocated < 8 * turns, `${allocated} bytes for ${turns} turns`);
  });

  test("the clock counts the milliseconds since the machine started", () => {
    using arena = new Arena({ size: 65_536 });
    const clock = new BootClock(arena, 128);
    const uptime = () => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000;
    const before = uptime();
    const now = clock.now();
    const later = bootTime();
    assert.ok(before <= now && now <= later, `${before}, ${now}, ${later}`);
    assert.ok(later <= uptime() + 10, "/proc/uptime is cut to 10 ms");
  });
} else {
  const { parentPort } = await import("node:worker_threads");
  using arena = new Arena({ size: 65_536 });
  const poller = new Poller(arena, 0, [workerData]);
  parentPort?.postMessage("about to wait");
  poller.wait(-1);
  parentPort?.postMessage(poller.ready(0));
}
