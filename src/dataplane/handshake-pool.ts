/**
 * Responses to handshake initiations, made by a few threads beside main. Three quarters of the work on an initiation is
 * elliptic curves, and most of that can be done by anybody once main knows that the initiation is genuine, new, and from
 * a peer: two agreements, the ephemeral key, and what follows from them.
 *
 * Most tunnels see a handshake every two minutes and need no thread for it. So threads are started when messages pile up,
 * and end when they have had nothing to do for a while. Where they are missing, busy, or have failed, main does the work
 * itself, at once.
 */
import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { wipe } from "../base/bytes.ts";
import { Arena } from "../os/arena.ts";
import type { CreatedResponse, Respond } from "../wireguard/handshake.ts";
import { Initiation, Response, readUint32, writeUint32 } from "../wireguard/messages.ts";
import { HandshakeSlots, handshakeSlotsSize, Slot, SlotState } from "./handshake-slots.ts";
import type { HandshakeWorkerSettings } from "./handshake-worker.ts";

const mostThreads = 8;
const keyLength = 32;

export interface HandshakePoolOptions {
  /** Where main waits, to be woken when a response is ready. */
  readonly wake: HandshakeWorkerSettings["wake"];
  /** Makes a response here and now. */
  readonly inPlace: Respond;
  /** As many as there are processors unless given, 8 at most; with one processor there is no sense in any. */
  readonly threads?: number;
  /** After how long without work the threads end. */
  readonly idleMs?: number;
}

export class HandshakePool implements AsyncDisposable {
  readonly #wake: HandshakePoolOptions["wake"];
  readonly #inPlace: Respond;
  readonly #threads: number;
  readonly #idleMs: number;
  readonly #done: ((created: CreatedResponse | undefined) => void)[] = [];
  #crew: Crew | undefined;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Where one failed there is no second try. */
  #hasFailed = false;

  constructor({ wake, inPlace, threads, idleMs = 30_000 }: HandshakePoolOptions) {
    const processors = Math.min(mostThreads, availableParallelism());
    this.#wake = wake;
    this.#inPlace = inPlace;
    this.#threads = threads ?? (processors === 1 ? 0 : processors);
    this.#idleMs = idleMs;
  }

  /** Whether threads are at work, or about to be. */
  get isStaffed(): boolean {
    return this.#crew !== undefined;
  }

  /** How many responses are being made. */
  get waiting(): number {
    return this.#done.length;
  }

  /** Initiations pile up: threads are welcome from now on. Resolves when they are there, or have failed. */
  async staff(): Promise<void> {
    if (this.#crew !== undefined || this.#threads === 0 || this.#isClosed || this.#hasFailed) return;
    const crew = new Crew(this.#threads, this.#wake, () => this.#fail(crew));
    this.#crew = crew;
    this.#stayWhileBusy();
    await crew.begun;
  }

  /** See `Respond`. */
  readonly respond: Respond = (peer, opened, input, done) => {
    const crew = this.#crew;
    const slot = crew?.isReady === true ? crew.slots.free() : -1;
    if (crew === undefined || slot < 0) {
      this.#inPlace(peer, opened, input, done);
      return;
    }
    const { bytes } = crew.slots;
    writeUint32(bytes, slot + Slot.localIndex, input.localIndex);
    bytes.set(opened.message.subarray(0, Initiation.encryptedStatic), slot + Slot.initiation);
    bytes.set(peer.publicKey.bytes, slot + Slot.publicKey);
    bytes.set(peer.presharedKey.bytes, slot + Slot.presharedKey);
    bytes.set(input.ephemeral, slot + Slot.ephemeral);
    wipe(input.ephemeral);
    opened.state.save(bytes, slot + Slot.symmetricState);
    this.#done.push(done);
    crew.slots.post();
  };

  /** Main: takes what is ready, in the order in which it was asked for. */
  collect(): void {
    const slots = this.#crew?.slots;
    if (slots === undefined) return;
    for (let slot = slots.oldest(); slot >= 0; slot = slots.oldest()) {
      const created = slots.state(slot) === SlotState.done ? resultIn(slots.bytes, slot) : undefined;
      slots.take();
      this.#done.shift()?.(created);
    }
  }

  /** Ends the threads; what they were at is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#dismiss();
  }

  #stayWhileBusy(): void {
    let seen = -1;
    this.#idle = setInterval(() => {
      const posted = this.#crew?.posted ?? 0;
      if (posted === seen && this.#done.length === 0) void this.#dismiss();
      seen = posted;
    }, this.#idleMs).unref();
  }

  #fail(crew: Crew): void {
    if (this.#crew !== crew) return;
    this.#hasFailed = true;
    void this.#dismiss();
  }

  async #dismiss(): Promise<void> {
    const crew = this.#crew;
    this.#crew = undefined;
    clearInterval(this.#idle);
    for (const done of this.#done.splice(0)) done(undefined);
    await crew?.[Symbol.asyncDispose]();
  }
}

/** The threads and what they share with main. */
class Crew implements AsyncDisposable {
  readonly slots: HandshakeSlots;
  /** Settles when all of them have begun, or one has failed. */
  readonly begun: Promise<void>;
  isReady = false;
  readonly #arena = new Arena({ size: handshakeSlotsSize, shared: true });
  readonly #ended: Promise<void>[] = [];

  constructor(threads: number, wake: HandshakeWorkerSettings["wake"], fail: () => void) {
    this.slots = new HandshakeSlots(this.#arena.buffer);
    // `tsc` does not rewrite the extension inside a string: take it from this very file, .ts here and .js in dist.
    const file = new URL(`./handshake-worker${extname(import.meta.filename)}`, import.meta.url);
    const settings: HandshakeWorkerSettings = { slots: this.#arena.buffer, wake };
    const begun = Promise.withResolvers<void>();
    this.begun = begun.promise;
    let ready = 0;
    for (let i = 0; i < threads; i++) {
      const worker = new Worker(file, { workerData: settings, name: "warren-handshake" });
      worker.unref(); // the tunnel is what keeps the process
      const ended = Promise.withResolvers<void>();
      this.#ended.push(ended.promise);
      worker.once("message", () => {
        ready++;
        if (ready < threads) return;
        this.isReady = true;
        begun.resolve();
      });
      worker.on("error", () => undefined); // its end says it
      worker.once("exit", () => {
        this.isReady = false;
        ended.resolve();
        begun.resolve();
        fail();
      });
    }
  }

  get posted(): number {
    return this.slots.posted;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isReady = false;
    this.slots.stop();
    await Promise.all(this.#ended);
    this.#arena[Symbol.dispose]();
  }
}

/** Copies the result out of a slot and overwrites it there. */
function resultIn(bytes: Uint8Array, slot: number): CreatedResponse {
  const key = (field: number) => bytes.slice(slot + field, slot + field + keyLength);
  const message = bytes.slice(slot + Slot.response, slot + Slot.response + Response.size);
  const remoteIndex = readUint32(message, Response.receiver);
  const keys = { remoteIndex, sendKey: key(Slot.sendKey), receiveKey: key(Slot.receiveKey) };
  bytes.fill(0, slot + Slot.response, slot + Slot.size);
  return { message, keys };
}
