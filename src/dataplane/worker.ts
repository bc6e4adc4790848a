/**
 * A worker thread: builds one half of the packet path in an arena of its own and runs its loop until it is told to end.
 *
 * The loop blocks in `poll`, where no message, no `terminate()` and no exit of the process reaches a thread: only the
 * event descriptor does. So the thread looks at the stop word after every wake-up and leaves by itself.
 */

import { getHeapStatistics } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { VpnError } from "../base/errors.ts";
import { Arena } from "../os/arena.ts";
import { BootClock } from "../os/clock.ts";
import { EventDescriptor } from "../os/event-descriptor.ts";
import type { OffloadFault } from "../os/offload-fault.ts";
import { POLLOUT, Poller, pollerSize } from "../os/poller.ts";
import { SystemError } from "../os/system-error.ts";
import { Coalescer } from "../packet/coalescing.ts";
import { instantiateKernels, type Kernels } from "../packet/kernels.ts";
import { Segmenter } from "../packet/segmentation.ts";
import { type SuperPacketKinds, VirtioHeader } from "../packet/virtio-header.ts";
import { AllowedIps } from "../wireguard/allowed-ips.ts";
import { selectAead } from "./aead-selection.ts";
import { batchScratch, DatagramBatch } from "./datagram-batch.ts";
import { DatagramReader, readerBuffer, readerScratch } from "./datagram-reader.ts";
import { Inbound, readsPerTake, takeRoom } from "./inbound.ts";
import { Outbound, takeRoom as outboundTakeRoom, readLength, readRoom } from "./outbound.ts";
import { type AeadName, aeadLead, aeadScratch, aeadTail, type PacketAead } from "./packet-aead.ts";
import { Reader } from "./quiescence.ts";
import { Control, type Direction, SharedMemory, type SharedMemoryLayout, Statistics } from "./shared-memory.ts";
import { SingleWriter, singleWriterRoom } from "./single-writer.ts";
import { Turns } from "./turns.ts";

/** What main gives a worker at its start. */
export interface WorkerSettings {
  readonly role: Direction;
  /** Which of the direction's workers it is, from 0, and how many there are. */
  readonly number: number;
  readonly workers: number;
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  readonly base: number;
  readonly layout: SharedMemoryLayout;
  readonly kernels: WebAssembly.Module;
  readonly aead: AeadName | undefined;
  /** Descriptors: the TUN device, the sockets, and the event descriptor that wakes this worker. */
  readonly tun: number;
  readonly sockets: { readonly v4: number; readonly v6: number };
  readonly wake: number;
  readonly segmentation: boolean;
  /** Whether the device puts a virtio header before packets. */
  readonly virtioHeader: boolean;
  /** Which super-packets the device gives and takes. */
  readonly offloads: SuperPacketKinds;
}

/** What a worker tells main: once that its loop is about to begin, and whatever offload it had to do without since. */
export type WorkerMessage = WorkerReady | { readonly kind: "fault"; readonly fault: OffloadFault };

export interface WorkerReady {
  readonly kind: "ready";
  readonly aead: AeadName;
  /** Providers that failed their self-test. */
  readonly failedAeads: readonly AeadName[];
}

/**
 * The heap is asked rarely, because asking shows in the answer: V8 counts what is left of its allocation buffer as
 * allocated each time, 20 to 350 kB (Node 26; docs/performance.md).
 */
const heapReadingEveryMs = 10_000;
/** Memory for sealed messages: as many slots of the MTU's size as fit, and one of the largest packet in any case. */
const slotsSize = 320 * 1024;
const arenaSize = 640 * 1024;
/** Where there are several workers, each has room for more than one read. */
const sharingArenaSize = 1280 * 1024;
const largestPacket = readLength - VirtioHeader.size;

/** Everything that both loops need. */
class Worker {
  readonly settings: WorkerSettings;
  readonly memory: SharedMemory;
  readonly arena: Arena;
  readonly kernels: Kernels;
  readonly aead: PacketAead;
  readonly failedAeads: readonly AeadName[];
  readonly allowedIps: AllowedIps;
  readonly reader: Reader;
  /** Only where there are several workers. */
  readonly turns: Turns | undefined;
  readonly clock: Float64Array = new Float64Array(1);
  readonly #bootClock: BootClock;
  #end = 64; // offset 0 stays free: it is no place
  #heapReadAt = 0;

  constructor(settings: WorkerSettings) {
    this.settings = settings;
    this.arena = new Arena({ size: settings.workers > 1 ? sharingArenaSize : arenaSize });
    this.memory = new SharedMemory(settings.buffer, settings.base, settings.layout);
    this.kernels = instantiateKernels(settings.kernels, this.arena.memory);
    this.allowedIps = new AllowedIps(this.memory.allowedIps);
    this.reader = new Reader(this.memory, settings.role, settings.number);
    this.turns = settings.workers > 1 ? new Turns(this.memory, settings.role) : undefined;
    this.#bootClock = new BootClock(this.arena, this.take(64));
    const { arena, kernels, memory } = this;
    const scratch = this.take(aeadScratch);
    const { aead, failed } = selectAead({ arena, kernels, scratch, keys: memory }, settings.aead);
    if (aead === undefined) {
      const why = failed.length > 0 ? "fails its self-test" : "is missing";
      throw new VpnError("not-available", `the ${settings.aead} provider of ChaCha20-Poly1305 ${why} in this Node`, {
        remedy: "choose another by WARREN_AEAD, or none to have the fastest that works",
      });
    }
    this.aead = aead;
    this.failedAeads = failed;
  }

  /** The next `size` bytes of the arena, 64-byte aligned. */
  take(size: number): number {
    const at = this.#end;
    this.#end = (at + size + 63) & ~63;
    if (this.#end > this.arena.size) throw new RangeError("the arena of a worker is too small for its layout");
    return at;
  }

  get isStopped(): boolean {
    return Atomics.load(this.memory.words, Control.stop) === 1;
  }

  tick(): void {
    this.clock[0] = this.#bootClock.now();
  }

  /** Publishes what was done, and now and then what the heap has allocated for it. */
  report(packets: number, calls: number): void {
    const { floats } = this.memory;
    const row = this.memory.statisticsRow(this.settings.role, this.settings.number);
    floats[row + Statistics.packets] = packets;
    floats[row + Statistics.systemCalls] = calls;
    if (this.clock[0] - this.#heapReadAt < heapReadingEveryMs) return;
    this.#heapReadAt = this.clock[0];
    floats[row + Statistics.allocatedBytes] = getHeapStatistics().total_allocated_bytes;
    floats[row + Statistics.packetsAtReading] = packets;
  }

  [Symbol.dispose](): void {
    this.reader.park();
    this.aead[Symbol.dispose]();
    this.arena[Symbol.dispose]();
  }
}

function tell(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

function withdraw(fault: OffloadFault): void {
  tell({ kind: "fault", fault });
}

function runOutbound(worker: Worker): void {
  const { settings, arena, kernels, memory, clock, aead, allowedIps, turns } = worker;
  const { tun, sockets, wake, segmentation, number } = settings;
  const poller = new Poller(arena, worker.take(pollerSize(2)), [tun, wake]);
  const requests = new EventDescriptor(wake);
  const spare = arena.base + worker.take(8);
  const writable = [sockets.v4, sockets.v6].map((fd) => {
    const sender = new Poller(arena, worker.take(pollerSize(2)), [fd, wake]);
    sender.watch(0, POLLOUT);
    return sender;
  });
  const waitWritable = (fd: number): boolean => {
    const sender = writable[fd === sockets.v4 ? 0 : 1];
    while (!worker.isStopped) {
      sender.wait(-1);
      worker.tick(); // keys grow old while the network is slow
      if (sender.ready(0) !== 0) return true;
      // Once told to end it stays told: a signal that was drained would be missed by the next wait.
      if (!worker.isStopped) hasRequests = requests.drainInto(spare) || hasRequests;
    }
    return false;
  };
  let hasRequests = false;
  const batch = new DatagramBatch({
    arena,
    scratch: worker.take(batchScratch),
    slots: worker.take(slotsSize),
    slotsSize,
    memory,
    sockets,
    segmentation,
    withdraw,
    turns,
    waitWritable,
  });
  // The packet behind the virtio header is 16-byte aligned.
  const buffer = worker.take(turns === undefined ? readRoom : outboundTakeRoom) + 16 - VirtioHeader.size;
  const segmenter = new Segmenter(kernels, { ...settings.offloads, largest: largestPacket });
  const outbound = new Outbound({
    memory,
    arena,
    kernels,
    segmenter,
    aead,
    allowedIps,
    batch,
    tun,
    headerless: settings.virtioHeader ? 0 : VirtioHeader.size,
    buffer,
    clock,
    number,
  });
  let isWoken = false;
  tell({ kind: "ready", aead: aead.name, failedAeads: worker.failedAeads });
  while (turns === undefined ? !worker.isStopped : turns.lead()) {
    worker.reader.enter();
    worker.tick();
    const more = turns === undefined ? outbound.batch(isWoken) : outbound.take();
    isWoken = false;
    if (outbound.deviceGone !== 0) {
      throw new SystemError("read", outbound.deviceGone, {
        subject: "from the TUN device",
        code: "interface-deleted",
        remedy: "the device was deleted; bring the tunnel up again",
      });
    }
    const isIdle = turns === undefined ? !more : outbound.isEmpty;
    if (turns !== undefined && !isIdle) {
      turns.pass(more);
      outbound.finish();
      if (turns.take()) turns.finish();
    }
    worker.report(batch.sent, outbound.calls + batch.calls);
    worker.reader.park();
    if (!isIdle || more || hasRequests) {
      hasRequests = false;
      continue;
    }
    poller.wait(-1);
    isWoken = true;
    if (poller.ready(1) !== 0 && !worker.isStopped) requests.drainInto(spare);
  }
}

function runInbound(worker: Worker): void {
  const { settings, arena, kernels, memory, clock, aead, allowedIps, turns } = worker;
  const { tun, sockets, wake, number } = settings;
  const descriptors = [sockets.v4, sockets.v6];
  const poller = new Poller(arena, worker.take(pollerSize(descriptors.length + 1)), [...descriptors, wake]);
  const requests = new EventDescriptor(wake);
  const spare = arena.base + worker.take(8);
  const readers = Array.from(
    { length: turns === undefined ? 1 : readsPerTake },
    () => new DatagramReader({ arena, scratch: worker.take(readerScratch), buffer: worker.take(readerBuffer) }),
  );
  const superPacket = worker.take(Coalescer.headroom + Coalescer.room) + Coalescer.headroom;
  const coalescer = new Coalescer(kernels, superPacket, settings.offloads);
  const opened = worker.take(turns === undefined ? aeadLead + largestPacket + aeadTail : takeRoom) + aeadLead;
  const singles = new SingleWriter({ arena, kernels, coalescer, tun, room: worker.take(singleWriterRoom), withdraw });
  const inbound = new Inbound({
    memory,
    arena,
    readers,
    aead,
    allowedIps,
    coalescer,
    singles,
    tun,
    headerless: settings.virtioHeader ? 0 : VirtioHeader.size,
    superPacket: superPacket - VirtioHeader.size,
    opened,
    clock,
    number,
    turns,
  });
  let isWoken = false;
  tell({ kind: "ready", aead: aead.name, failedAeads: worker.failedAeads });
  while (turns === undefined ? !worker.isStopped : turns.lead()) {
    worker.reader.enter();
    worker.tick();
    let more = false;
    for (let i = 0; i < descriptors.length; i++) {
      if (isWoken && poller.ready(i) === 0) continue;
      if (turns === undefined ? inbound.batch(descriptors[i], isWoken) : inbound.take(descriptors[i])) more = true;
    }
    isWoken = false;
    const isIdle = turns === undefined || inbound.isEmpty;
    if (turns !== undefined && !isIdle) {
      turns.pass(more);
      inbound.finish();
      if (turns.take()) turns.finish();
    }
    worker.report(inbound.received, inbound.calls);
    worker.reader.park();
    if (!isIdle || more) continue;
    poller.wait(-1);
    isWoken = true;
    if (poller.ready(descriptors.length) !== 0 && !worker.isStopped) requests.drainInto(spare);
  }
}

const settings = workerData as WorkerSettings;
using worker = new Worker(settings);
if (settings.role === "outbound") runOutbound(worker);
else runInbound(worker);
