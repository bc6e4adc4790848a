/**
 * What the threads of a tunnel share: one arena, cut into regions whose every word is owned.
 *
 *     control       stop flag, wake-up counter, epochs, MTU, drop counters, worker statistics
 *     peers         one record a peer: sending keypair, endpoint, activity stamps, byte counters
 *     keypairs      one record a keypair: keys, indices, send counter, ages
 *     windows       one replay window a keypair record, first touched when a message comes
 *     index         receiver index -> keypair record: buckets of sixteen, chosen by the index's low bits
 *     allowed IPs   the trie's nodes
 *     rings         outbound to main, inbound to main, handshakes to main, main to outbound
 *
 * Pages are taken from the system when first touched, so capacity costs address space, not memory.
 */
import { type DropReason, dropReasons } from "../base/errors.ts";
import type { Address } from "../os/libc.ts";
import { replayWindowWords } from "../wireguard/replay-window.ts";
import { Ring, ringOverhead } from "./ring.ts";

/** 32-bit words of the control region, as indices. */
export const Control = {
  /** 1 tells the workers to end. Main writes. */
  stop: 0,
  /** Main waits on this word; a worker adds 1 and notifies when it has left something in a ring. */
  wake: 1,
  /** The device's MTU, bytes. Main writes. */
  mtu: 2,
  /** See quiescence.ts. Main writes. */
  epoch: 3,
  /** See mac1-door.ts. Main writes; the key is eight words. */
  mac1Version: 4,
  mac1Key: 16,
  /** 1: TCP is told to send no segments larger than fit. Main writes. */
  clampMss: 5,
  /** See turns.ts: two cache lines for each direction, outbound first. The workers write. */
  turns: 32,
  /** See quiescence.ts: a cache line for each worker, in the order of `threadRow`, which writes it. */
  epochs: 96,
} as const;

export type Direction = "outbound" | "inbound";
/** The thread that runs the protocol, or the workers of a direction. */
export type Thread = "main" | Direction;
/** How many workers a direction may have. */
export const maximumWorkers = 4;

/** 64-bit floats of the control region, as byte offsets: one row of drop counters a thread, then the statistics. */
const threadRows = 1 + 2 * maximumWorkers;
const dropRow = 64; // counters, of which dropReasons.length are used
const dropsAt = 1024;
const statisticsAt = dropsAt + threadRows * dropRow * 8;
const controlSize = 8192;

/** Which row a thread has in what is kept for each: main's comes first. */
export function threadRow(thread: Thread, number: number): number {
  return thread === "main" ? 0 : 1 + number + (thread === "inbound" ? maximumWorkers : 0);
}

/** What a worker says of itself, as 64-bit floats. Each worker writes its own row. */
export const Statistics = { packets: 0, systemCalls: 1, allocatedBytes: 2, packetsAtReading: 3 } as const;

export interface WorkerReport {
  /** Packets sent, or received, since the tunnel began. */
  readonly packets: number;
  readonly systemCalls: number;
  /** `total_allocated_bytes` of the worker's own heap when it last looked, every ten seconds while it is busy. */
  readonly allocatedBytes: number;
  /** Packets at that moment, so that the two can be divided. */
  readonly packetsAtReading: number;
}
const statisticsRow = 8;

/** A peer's record, as byte offsets. */
export const PeerRecord = {
  size: 256,
  /** Word: keypair slot + 1 to seal with, 0 for none. Main writes, and inbound as keypair-table.ts says. */
  sendingKeypair: 0,
  /** Words, see endpoint-record.ts: the version, then the endpoint in one piece. */
  endpointVersion: 4,
  /** Bytes of the socket address, 16 or 28; 0 for none. */
  endpointLength: 8,
  /** The socket address as the kernel takes it. */
  endpoint: 12,
  endpointRoom: 28,
  /** The interface and our own address that the peer spoke to; the interface is 0 where none is known. */
  localDevice: 40,
  localAddress: 44,
  // Floats, ms of CLOCK_BOOTTIME; see wireguard/activity.ts. Written by whoever sends or receives: a lost update among
  // stamps of the same millisecond changes no deadline.
  sentAt: 64,
  receivedAt: 72,
  unansweredSince: 80,
  unacknowledgedSince: 88,
  /** Word: counts the peers that had this record, so that a request made for one is not served for the next. Main. */
  generation: 60,
  /** Word: slot + 1 of the keypair that the peer has not used yet, 0 for none. Main writes. */
  nextKeypair: 112,
  /** Word: who may move the endpoint, as `EndpointHold` says: 0 everybody, 1 the network, 2 nobody. Main writes. */
  hold: 116,
  /** Float: bytes of data messages sent. Outbound writes. */
  sentBytes: 96,
  /** Float: bytes of data messages received. Inbound writes. */
  receivedBytes: 104,
} as const;

/** A keypair's record, as byte offsets. */
export const KeypairRecord = {
  size: 192,
  sendKey: 0,
  receiveKey: 32,
  /** Words. Main writes all but `confirmed`. */
  localIndex: 64,
  remoteIndex: 68,
  peer: 72,
  /** 1 while messages to it may be opened. */
  live: 76,
  /** 1 once main knows that the peer uses it. Inbound writes, main initialises. */
  confirmed: 80,
  /** Float: the next nonce. Whoever reads from the device writes. */
  sendCounter: 88,
  /** Floats, ms of CLOCK_BOOTTIME: when sending or receiving calls for a new handshake, and when all use ends. */
  rekeySendingAt: 96,
  rekeyReceivingAt: 104,
  rejectAt: 112,
  /** Floats: when each worker last asked for a handshake. */
  outboundAskedAt: 120,
  inboundAskedAt: 128,
  /** Word: index of the first word of its replay window, 0 until a message has come. Inbound writes. */
  replayWindow: 136,
} as const;

const indexWays = 16;
const ringCapacity = 1 << 19;
const allowedIpsBytesPerPeer = 2048;

export interface SharedMemoryLayout {
  readonly maximumPeers: number;
}

/** A window in whole cache lines. */
const windowWords = (replayWindowWords + 15) & ~15;

/** Where a region begins, in bytes, and how large the whole is. */
function regions({ maximumPeers }: SharedMemoryLayout) {
  // Three roles a peer, and some that wait for the workers to let go of them.
  const keypairSlots = 3 * maximumPeers + 64;
  const indexBuckets = 1 << Math.ceil(Math.log2(Math.max(16, keypairSlots / 2)));
  let end = 0;
  const region = (size: number): number => {
    const at = end;
    end = (end + size + 4095) & ~4095;
    return at;
  };
  return {
    keypairSlots,
    indexBuckets,
    control: region(controlSize),
    peers: region(maximumPeers * PeerRecord.size),
    keypairs: region(keypairSlots * KeypairRecord.size),
    windows: region(keypairSlots * windowWords * 4),
    index: region(indexBuckets * indexWays * 4),
    allowedIps: region(Math.max(1 << 20, maximumPeers * allowedIpsBytesPerPeer)),
    outboundToMain: region(ringOverhead + ringCapacity),
    inboundToMain: region(ringOverhead + ringCapacity),
    handshakes: region(ringOverhead + ringCapacity),
    mainToOutbound: region(ringOverhead + ringCapacity),
    size: (end + 65_535) & ~65_535,
  };
}

/** Bytes an arena needs to hold tunnels of this size. A multiple of 65,536. */
export function sharedMemorySize(layout: SharedMemoryLayout): number {
  return regions(layout).size;
}

/** A thread's view of the shared arena. */
export class SharedMemory {
  readonly words: Int32Array;
  readonly floats: Float64Array;
  readonly bytes: Uint8Array;
  /** Address of offset 0, for foreign calls. */
  readonly base: Address;
  readonly keypairSlots: number;
  readonly allowedIps: Int32Array;
  readonly outboundToMain: Ring;
  readonly inboundToMain: Ring;
  /** Inbound to main, apart from the other: strangers can fill it. */
  readonly handshakes: Ring;
  readonly mainToOutbound: Ring;
  readonly #peers: number;
  readonly #keypairs: number;
  readonly #windows: number;
  readonly #index: number;
  readonly #indexBuckets: number;

  constructor(buffer: ArrayBuffer | SharedArrayBuffer, base: Address, layout: SharedMemoryLayout) {
    const at = regions(layout);
    this.words = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.base = base;
    this.keypairSlots = at.keypairSlots;
    this.#peers = at.peers;
    this.#keypairs = at.keypairs;
    this.#windows = at.windows >> 2;
    this.#index = at.index >> 2;
    this.#indexBuckets = at.indexBuckets;
    this.allowedIps = this.words.subarray(at.allowedIps >> 2, at.outboundToMain >> 2);
    this.outboundToMain = new Ring(this.words, at.outboundToMain, ringCapacity);
    this.inboundToMain = new Ring(this.words, at.inboundToMain, ringCapacity);
    this.handshakes = new Ring(this.words, at.handshakes, ringCapacity);
    this.mainToOutbound = new Ring(this.words, at.mainToOutbound, ringCapacity);
  }

  /** Byte offset of a peer's record. */
  peer(id: number): number {
    return this.#peers + id * PeerRecord.size;
  }

  /** Which of the peers that had this number it stands for now. */
  generation(peerId: number): number {
    return this.words[(this.peer(peerId) + PeerRecord.generation) >> 2];
  }

  /** Byte offset of a keypair's record. */
  keypair(slot: number): number {
    return this.#keypairs + slot * KeypairRecord.size;
  }

  /** The slot of the keypair record at this offset. */
  slotOf(keypair: number): number {
    return (keypair - this.#keypairs) / KeypairRecord.size;
  }

  /** Inbound: where the replay window of a keypair's record begins, as an index into `words`. Hot path. */
  replayWindow(keypair: number): number {
    const field = (keypair + KeypairRecord.replayWindow) >> 2;
    if (this.words[field] === 0) this.words[field] = this.#windows + this.slotOf(keypair) * windowWords;
    return this.words[field];
  }

  /** Main: erases a record that no worker uses any more, and its window if it has one: no other page is touched. */
  eraseKeypair(keypair: number): void {
    const window = this.words[(keypair + KeypairRecord.replayWindow) >> 2];
    if (window !== 0) this.words.fill(0, window, window + windowWords);
    this.bytes.fill(0, keypair, keypair + KeypairRecord.size);
  }

  /** Main: makes messages to `localIndex` find the record in `slot`. False if its bucket is full. */
  insertIndex(localIndex: number, slot: number): boolean {
    const bucket = this.#bucket(localIndex);
    for (let way = bucket; way < bucket + indexWays; way++) {
      if (this.words[way] !== 0) continue;
      Atomics.store(this.words, way, slot + 1);
      return true;
    }
    return false;
  }

  /** Main: takes the entry out again. */
  removeIndex(localIndex: number, slot: number): void {
    const bucket = this.#bucket(localIndex);
    for (let way = bucket; way < bucket + indexWays; way++) {
      if (this.words[way] === slot + 1) Atomics.store(this.words, way, 0);
    }
  }

  /** The byte offset of the live keypair record with this index (a signed 32-bit word), or -1. Hot path. */
  findKeypair(localIndex: number): number {
    const bucket = this.#bucket(localIndex);
    for (let way = bucket; way < bucket + indexWays; way++) {
      const slot = Atomics.load(this.words, way);
      if (slot === 0) continue;
      const record = this.keypair(slot - 1);
      if (this.words[(record + KeypairRecord.localIndex) >> 2] === localIndex) {
        return Atomics.load(this.words, (record + KeypairRecord.live) >> 2) === 1 ? record : -1;
      }
    }
    return -1;
  }

  /** A worker: tells main that something lies in its ring. */
  wakeMain(): void {
    Atomics.add(this.words, Control.wake, 1);
    Atomics.notify(this.words, Control.wake, 1);
  }

  /** Index into `floats` of a thread's first drop counter; the reason's place in `dropReasons` is added to it. */
  dropRow(thread: Thread, number = 0): number {
    return (dropsAt >> 3) + threadRow(thread, number) * dropRow;
  }

  /** Index into `floats` of a worker's first statistic. */
  statisticsRow(thread: Direction, number = 0): number {
    return (statisticsAt >> 3) + threadRow(thread, number) * statisticsRow;
  }

  /** How often each reason occurred since the tunnel began, over all threads. Reasons that never did are left out. */
  drops(): Partial<Record<DropReason, number>> {
    const counts: Partial<Record<DropReason, number>> = {};
    for (const [i, reason] of dropReasons.entries()) {
      let count = 0;
      for (let row = 0; row < threadRows; row++) count += this.floats[(dropsAt >> 3) + row * dropRow + i];
      if (count > 0) counts[reason] = count;
    }
    return counts;
  }

  /** What the workers of a direction say of themselves, together. */
  report(direction: Direction): WorkerReport {
    const sum = (statistic: number) => {
      let total = 0;
      for (let i = 0; i < maximumWorkers; i++) total += this.floats[this.statisticsRow(direction, i) + statistic];
      return total;
    };
    return {
      packets: sum(Statistics.packets),
      systemCalls: sum(Statistics.systemCalls),
      allocatedBytes: sum(Statistics.allocatedBytes),
      packetsAtReading: sum(Statistics.packetsAtReading),
    };
  }

  #bucket(localIndex: number): number {
    return this.#index + (localIndex & (this.#indexBuckets - 1)) * indexWays;
  }
}

if (4 * (Control.epochs + 16 * threadRows) > dropsAt || statisticsAt + 8 * threadRows * statisticsRow > controlSize) {
  throw new RangeError("the control region is too small for what it holds");
}
if (KeypairRecord.replayWindow + 4 > KeypairRecord.size || dropReasons.length > dropRow) {
  throw new RangeError("a record of the shared memory is too small for what it holds");
}
