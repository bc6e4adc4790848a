/**
 * Loaded before `warren` by `node --import fault.ts?in=THREAD`: on SIGUSR2 something is wrong in that thread, so that it
 * throws: in `main` an exception out of nowhere; in `outbound` or `inbound` by a queue in shared memory that has been
 * overwritten. The inbound worker comes upon it with the next handshake message.
 */
import { syncBuiltinESMExports } from "node:module";
import workerThreads, { isMainThread } from "node:worker_threads";
import { ringOverhead } from "../../src/dataplane/ring.ts";
import { SharedMemory } from "../../src/dataplane/shared-memory.ts";
import type { WorkerSettings } from "../../src/dataplane/worker.ts";

const thread = new URL(import.meta.url).searchParams.get("in");
const recordHeader = 16;
const tailWord = 16;

if (isMainThread) {
  let spoil = (): void => {
    throw new Error("deliberate");
  };
  const { Worker } = workerThreads;
  workerThreads.Worker = class extends Worker {
    constructor(file: string | URL, options: { workerData: WorkerSettings }) {
      super(file, options);
      const { role, buffer, base, layout } = options.workerData;
      const memory = new SharedMemory(buffer, base, layout);
      if (role === thread) spoil = thread === "outbound" ? spoilRecord(memory) : spoilTail(memory);
    }
  };
  syncBuiltinESMExports();
  process.on("SIGUSR2", () => spoil());
}

/** Leaves a record that is shorter than its own header. */
function spoilRecord({ mainToOutbound: ring, words }: SharedMemory): () => void {
  return () => {
    const payload = ring.reserve(8);
    ring.commit(1, 0, 0);
    words[(payload - recordHeader) >> 2] = 4;
  };
}

/** Has more taken out than was ever put in. */
function spoilTail({ handshakes: ring, words }: SharedMemory): () => void {
  const start = ring.reserve(0) - recordHeader - ringOverhead; // it is still empty
  return () => {
    words[(start >> 2) + tailWord] = 0x4000_0000;
  };
}
