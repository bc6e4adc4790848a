/**
 * The packet path as main sees it: starts the two workers, publishes peers and keypairs to them, takes their requests
 * from the rings, and ends them properly, also when the process is going down.
 */
import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { VpnError } from "../base/errors.ts";
import { Arena } from "../os/arena.ts";
import { EventDescriptor } from "../os/event-descriptor.ts";
import type { OffloadFault } from "../os/offload-fault.ts";
import { AllowedIps } from "../wireguard/allowed-ips.ts";
import { FromInbound, senderRoom } from "./inbound.ts";
import { KeypairTable } from "./keypair-table.ts";
import { ToOutbound } from "./outbound.ts";
import type { AeadName } from "./packet-aead.ts";
import { PeerTable } from "./peer-table.ts";
import { Reclaimer } from "./quiescence.ts";
import type { Ring } from "./ring.ts";
import { FromOutbound } from "./sending-sessions.ts";
import {
  Control,
  type Direction,
  maximumWorkers,
  SharedMemory,
  type SharedMemoryLayout,
  sharedMemorySize,
} from "./shared-memory.ts";
import { callAll } from "./turns.ts";
import type { WorkerMessage, WorkerReady, WorkerSettings } from "./worker.ts";

export interface DataPlaneOptions {
  readonly maximumPeers: number;
  readonly mtu: number;
  readonly kernels: WebAssembly.Module;
  readonly tun: number;
  /** Whether the device puts a virtio header before packets. */
  readonly virtioHeader: boolean;
  readonly sockets: WorkerSettings["sockets"];
  /** Whether the sockets take UDP_SEGMENT. */
  readonly segmentation: boolean;
  /** Which super-packets the device gives and takes. */
  readonly offloads: WorkerSettings["offloads"];
  /** Forces one provider of the cipher. */
  readonly aead?: AeadName | undefined;
  /** Workers of each direction, from 1 to `maximumWorkers`; by the number of processors where left out. */
  readonly workers?: number | undefined;
  readonly requests: Requests;
}

/** What the workers ask of main. Senders are endpoints as `decodeEndpoint` reads them. */
export interface Requests {
  /** A handshake message or cookie reply arrived, and `waiting` bytes of such are still to come. */
  handshake(message: Uint8Array, from: Uint8Array, waiting: number): void;
  /** A packet has a peer but no session. */
  stage(peerId: number, packet: Uint8Array): void;
  /** The first message under a keypair was authentic. */
  confirm(localIndex: number): void;
  /** A peer's keypair has grown old. */
  freshen(peerId: number): void;
  /** An authentic message of a peer came from another endpoint. */
  roam(peerId: number, from: Uint8Array): void;
  /** A turn's worth has been asked. */
  settle(): void;
  /** A worker goes on without an offload. Each worker may tell of the same. */
  withdraw(fault: OffloadFault): void;
  /** A worker has failed: no packet will pass any more. */
  fail(error: unknown): void;
}

const recordsPerTurn = 256;
const collectAgainMs = 20;

export class DataPlane {
  readonly keypairs: KeypairTable;
  readonly peers: PeerTable;
  readonly allowedIps: AllowedIps;
  readonly memory: SharedMemory;
  /** Workers of each direction. */
  readonly workers: number;
  readonly #options: DataPlaneOptions;
  readonly #arena: Arena;
  readonly #reclaimer: Reclaimer;
  readonly #ended: Promise<void>[] = [];
  readonly #wakes: EventDescriptor[] = [];
  readonly #onExit = () => this.#signalStop();
  #collecting: NodeJS.Timeout | undefined;
  #isStopped = false;
  /** The cipher's provider that the workers chose. */
  aead: AeadName | undefined;
  /** Those that are there but failed their self-test. */
  failedAeads: readonly AeadName[] = [];

  /** Lays out the shared memory; no thread runs yet. */
  constructor(options: DataPlaneOptions) {
    const layout: SharedMemoryLayout = { maximumPeers: options.maximumPeers };
    this.#options = options;
    this.workers = Math.max(1, Math.min(maximumWorkers, options.workers ?? defaultWorkers()));
    this.#arena = new Arena({ size: sharedMemorySize(layout), shared: true });
    this.memory = new SharedMemory(this.#arena.buffer, this.#arena.base, layout);
    this.memory.words[Control.mtu] = options.mtu;
    this.clampsMss = true;
    this.#reclaimer = new Reclaimer(this.memory);
    const retire = (release: () => void) => this.#retire(release);
    this.allowedIps = new AllowedIps(this.memory.allowedIps, retire);
    this.keypairs = new KeypairTable(this.memory, retire);
    this.peers = new PeerTable(this.memory, options.maximumPeers, retire);
  }

  /** Starts the workers; resolves when both loops run. Throws `VpnError`, with nothing left running. */
  async start(): Promise<void> {
    process.on("exit", this.#onExit);
    try {
      const started: Promise<WorkerReady>[] = [];
      for (const role of ["outbound", "inbound"] as const) {
        for (let number = 0; number < this.workers; number++) {
          started.push(this.#startWorker(role, number));
          started.at(-1)?.catch(() => undefined); // should the next one throw, nobody awaits this one
        }
      }
      const [ready] = await Promise.all(started);
      this.aead = ready.aead;
      this.failedAeads = ready.failedAeads;
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#takeRequests().catch((error: unknown) => this.#options.requests.fail(error));
  }

  set mtu(mtu: number) {
    Atomics.store(this.memory.words, Control.mtu, mtu);
  }

  set clampsMss(clamps: boolean) {
    Atomics.store(this.memory.words, Control.clampMss, clamps ? 1 : 0);
  }

  /** Wakes the workers where they wait, as they must be when another socket has come under a descriptor of theirs. */
  wake(): void {
    for (const wake of this.#wakes) wake.signal();
  }

  /** Has a packet sealed and sent to a peer with its sending keypair; an empty one is a keepalive. False if full. */
  seal(peerId: number, packet: Uint8Array): boolean {
    const ring = this.memory.mainToOutbound;
    const payload = ring.reserve(packet.length);
    if (payload < 0) return false;
    this.memory.bytes.set(packet, payload);
    ring.commit(ToOutbound.seal, peerId, this.memory.generation(peerId));
    // Whoever reads from the device finds it; which of them that is, or will be, only they know.
    for (let number = 0; number < this.workers; number++) this.#wakes[number]?.signal();
    return true;
  }

  /** Ends the workers, erases every key, and gives the memory back. The descriptors remain the caller's to close. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#signalStop();
    await Promise.all(this.#ended);
    process.off("exit", this.#onExit);
    clearTimeout(this.#collecting);
    this.#reclaimer.collectAll();
    for (const wake of this.#wakes) wake[Symbol.dispose]();
    this.keypairs.eraseAll();
    Atomics.add(this.memory.words, Control.wake, 1);
    Atomics.notify(this.memory.words, Control.wake);
    this.#arena[Symbol.dispose]();
  }

  #signalStop(): void {
    Atomics.store(this.memory.words, Control.stop, 1);
    this.wake();
    callAll(this.memory);
  }

  #startWorker(role: Direction, number: number): Promise<WorkerReady> {
    const wake = EventDescriptor.create();
    this.#wakes.push(wake);
    const { kernels, aead, tun, virtioHeader, sockets, segmentation, offloads, maximumPeers } = this.#options;
    const settings: WorkerSettings = {
      role,
      number,
      workers: this.workers,
      buffer: this.#arena.buffer,
      base: this.#arena.base,
      layout: { maximumPeers },
      kernels,
      aead,
      tun,
      virtioHeader,
      sockets,
      wake: wake.fd,
      segmentation,
      offloads,
    };
    // `tsc` does not rewrite the extension inside a string: take it from this very file, .ts here and .js in dist.
    const file = new URL(`./worker${extname(import.meta.filename)}`, import.meta.url);
    const worker = new Worker(file, { workerData: settings, name: `warren-${role}${number === 0 ? "" : number + 1}` });
    const { promise, resolve, reject } = Promise.withResolvers<WorkerReady>();
    const ended = Promise.withResolvers<void>();
    this.#ended.push(ended.promise);
    const fail = (error: VpnError) => {
      reject(error);
      if (!this.#isStopped) this.#options.requests.fail(error);
    };
    worker.on("message", (message: WorkerMessage) => {
      if (message.kind === "ready") resolve(message);
      else this.#options.requests.withdraw(message.fault);
    });
    worker.on("error", (error) => fail(fromWorker(error, role)));
    worker.once("exit", () => {
      fail(new VpnError("worker-failed", `the ${role} worker ended`));
      ended.resolve();
    });
    return promise;
  }

  /** Serves the rings until the end. Between turns main is asleep, or does something else. */
  async #takeRequests(): Promise<void> {
    const { words } = this.memory;
    while (!this.#isStopped) {
      const seen = Atomics.load(words, Control.wake);
      const left = [
        this.#drain(this.memory.inboundToMain, (ring) => this.#inboundRequest(ring)),
        this.#drain(this.memory.outboundToMain, (ring) => this.#outboundRequest(ring)),
        this.#drain(this.memory.handshakes, (ring) => this.#handshake(ring)),
      ];
      this.#options.requests.settle();
      const sleep = left.includes(true) ? undefined : Atomics.waitAsync(words, Control.wake, seen);
      // Something may have come meanwhile: then go on, but let timers and signals have their turn, flood or not.
      if (sleep?.async === true) await sleep.value;
      else await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Serves up to a turn's worth of one ring; true if something may be left. */
  #drain(ring: Ring, serve: (ring: Ring) => void): boolean {
    for (let i = 0; i < recordsPerTurn; i++) {
      if (this.#isStopped || !ring.next()) return false;
      try {
        serve(ring);
      } finally {
        ring.release();
      }
    }
    return true;
  }

  #handshake(ring: Ring): void {
    const from = this.#payload(ring, 0, senderRoom);
    this.#options.requests.handshake(this.#payload(ring, senderRoom, ring.length), from, ring.waiting);
  }

  #outboundRequest(ring: Ring): void {
    const { requests } = this.#options;
    if (ring.second !== this.memory.generation(ring.first)) return; // made for a peer that is gone
    if (ring.kind === FromOutbound.stage) requests.stage(ring.first, this.#payload(ring, 0, ring.length));
    else if (ring.kind === FromOutbound.freshen) requests.freshen(ring.first);
  }

  #inboundRequest(ring: Ring): void {
    const { requests } = this.#options;
    if (ring.kind === FromInbound.confirm) requests.confirm(ring.first >>> 0);
    else if (ring.second !== this.memory.generation(ring.first))
      return; // made for a peer that is gone
    else if (ring.kind === FromInbound.roam) requests.roam(ring.first, this.#payload(ring, 0, ring.length));
    else requests.freshen(ring.first);
  }

  /** A copy: shared memory is no place for what others keep. */
  #payload(ring: Ring, from: number, to: number): Uint8Array {
    return this.memory.bytes.slice(ring.payload + from, ring.payload + to);
  }

  #retire(release: () => void): void {
    this.#reclaimer.retire(release);
    this.#collecting ??= setTimeout(() => this.#collect(), collectAgainMs).unref();
  }

  #collect(): void {
    this.#collecting = undefined;
    if (this.#reclaimer.collect() > 0) this.#collecting = setTimeout(() => this.#collect(), collectAgainMs).unref();
  }
}

/** One on up to three processors, which the two directions share with the rest; else half of them for each direction. */
function defaultWorkers(): number {
  const processors = availableParallelism();
  return processors <= 3 ? 1 : Math.floor(processors / 2);
}

/** An error loses its class on its way out of a thread, but not what it says. */
function fromWorker(error: unknown, role: string): VpnError {
  const { code, message, remedy } = error as Partial<VpnError>;
  return new VpnError(code ?? "worker-failed", message ?? `the ${role} worker failed`, {
    cause: error,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
