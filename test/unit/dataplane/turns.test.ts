import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { Control, SharedMemory, sharedMemorySize } from "../../../src/dataplane/shared-memory.ts";
import { callAll, Turns } from "../../../src/dataplane/turns.ts";
import { Journal } from "./turns-journal.ts";
import type { TurnsWorkerData } from "./turns-worker.ts";

const layout = { maximumPeers: 4 };

function makeMemory(): { memory: SharedMemory; buffer: SharedArrayBuffer } {
  const buffer = new SharedArrayBuffer(sharedMemorySize(layout));
  return { memory: new SharedMemory(buffer, 0, layout), buffer };
}

function stop(memory: SharedMemory): void {
  Atomics.store(memory.words, Control.stop, 1);
  callAll(memory);
}

/** Threads that share one direction, each at a pace of its own. */
function startWorkers(buffer: SharedArrayBuffer, journal: Int32Array, count: number): Promise<unknown>[] {
  const file = new URL("./turns-worker.ts", import.meta.url);
  return Array.from({ length: count }, (_, i) => {
    const workerData: TurnsWorkerData = { buffer, layout, seed: i + 1, journal };
    return once(new Worker(file, { workerData }), "exit"); // rejects if it throws
  });
}

describe("threads that share a direction", { timeout: 60_000 }, () => {
  for (const count of [1, 2, 3, 4]) {
    test(`${count}: one leads at a time, every ticket has its turn, in the order in which they led`, async () => {
      const { memory, buffer } = makeMemory();
      const journal = new Int32Array(new SharedArrayBuffer(4 * Journal.size));
      const ended = startWorkers(buffer, journal, count);
      let done = 0;
      while (done < 3000) {
        await new Promise((resolve) => setImmediate(resolve));
        done = Atomics.load(journal, Journal.done);
      }
      stop(memory); // while they wait for each other in every way
      await Promise.all(ended);
      const turns = journal.subarray(Journal.entries, Journal.entries + journal[Journal.done]);
      assert.ok(
        turns.every((number, i) => number === i),
        "out of order",
      );
      assert.ok(journal[Journal.led] - journal[Journal.done] <= count);
    });
  }

  test("those who sleep at the gate, and for their turn, are called when all is to end", async () => {
    const { memory, buffer } = makeMemory();
    const own = new Turns(memory, "outbound");
    assert.ok(own.lead()); // and never passes: all others sleep
    const ended = startWorkers(buffer, new Int32Array(new SharedArrayBuffer(4 * Journal.size)), 3);
    const followers = Control.turns + 2;
    while (Atomics.load(memory.words, followers) < 3) await new Promise((resolve) => setImmediate(resolve));
    own.pass(true); // one of them gets the lead, but not the turn, which is still our ticket's
    const waiting = Control.turns + 17;
    while (Atomics.load(memory.words, waiting) < 1) await new Promise((resolve) => setImmediate(resolve));
    stop(memory);
    await Promise.all(ended);
    assert.equal(own.take(), false);
  });
});

test("a worker by itself leads and takes turn after turn without sleeping", () => {
  const { memory } = makeMemory();
  const turns = new Turns(memory, "inbound");
  for (let i = 0; i < 1000; i++) {
    assert.ok(turns.lead());
    assert.ok(turns.lead(), "leading already");
    turns.pass(i % 2 === 0);
    assert.ok(turns.take());
    assert.ok(turns.take(), "having the turn already");
    turns.finish();
  }
  stop(memory);
  assert.equal(turns.lead(), false);
});
