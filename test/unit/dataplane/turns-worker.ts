/** A worker for `turns.test.ts`: leads, passes, works for a while, takes its turn, until it is told to end. */
import { workerData } from "node:worker_threads";
import { SharedMemory, type SharedMemoryLayout } from "../../../src/dataplane/shared-memory.ts";
import { Turns } from "../../../src/dataplane/turns.ts";
import { Journal } from "./turns-journal.ts";

export interface TurnsWorkerData {
  readonly buffer: SharedArrayBuffer;
  readonly layout: SharedMemoryLayout;
  readonly seed: number;
  readonly journal: Int32Array;
}

const { buffer, layout, seed, journal } = workerData as TurnsWorkerData;
const turns = new Turns(new SharedMemory(buffer, 0, layout), "outbound");
let random = seed;

function work(most: number): void {
  random = (Math.imul(random, 1_103_515_245) + 12_345) | 0;
  for (let i = (random >>> 16) % most; i > 0; i--) Atomics.load(journal, Journal.led);
}

while (turns.lead()) {
  if (Atomics.add(journal, Journal.leaders, 1) !== 0) throw new Error("two lead at once");
  const number = journal[Journal.led]; // plainly: only the leader touches it
  work(300);
  journal[Journal.led] = number + 1;
  Atomics.sub(journal, Journal.leaders, 1);
  turns.pass((random & 3) !== 0);
  work(3000);
  if (!turns.take()) break;
  if (Atomics.add(journal, Journal.turns, 1) !== 0) throw new Error("two have the turn at once");
  const done = journal[Journal.done];
  if (done < Journal.size - Journal.entries) journal[Journal.entries + done] = number;
  work(300);
  journal[Journal.done] = done + 1;
  Atomics.sub(journal, Journal.turns, 1);
  turns.finish();
}
