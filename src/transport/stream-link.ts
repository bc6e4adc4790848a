/**
 * A datagram link over a byte stream, TCP or TLS: datagrams in the frames of `framing.ts`. What is sent within one turn
 * of the event loop leaves in one write, so that a burst is one segment, or one TLS record, after the other.
 */
import type { Duplex } from "node:stream";
import {
  type CloseReason,
  countSent,
  type DatagramLink,
  defaultLimits,
  type LinkCounters,
  type LinkDrop,
  type LinkLimits,
  type LinkReceiver,
  newCounters,
  refuse,
  Stillness,
} from "./datagram-link.ts";
import { Frame, FrameReader, writeFrame } from "./framing.ts";

export class StreamLink implements DatagramLink {
  readonly remote: string;
  readonly counters: LinkCounters = newCounters();
  readonly #stream: Duplex;
  readonly #limits: LinkLimits;
  readonly #reader = new FrameReader();
  readonly #activity = new Stillness();
  readonly #writing = new Stillness();
  readonly #reading = new Stillness();
  #receiver: LinkReceiver | undefined;
  #closed: CloseReason | undefined;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  /** Writes that the kernel has taken. */
  #written = 0;
  /** Looks at which the stream stood between two frames. */
  #pauses = 0;

  /** Takes over a stream that is connected, and paused or untouched. */
  constructor(stream: Duplex, remote: string, limits: LinkLimits = defaultLimits) {
    this.#stream = stream;
    this.remote = remote;
    this.#limits = limits;
    stream.on("end", () => this.close("closed-there"));
    stream.on("error", (error) => this.close(reasonOf(error)));
    stream.on("close", () => this.close("connection-lost"));
  }

  receive(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    const reason = this.#closed;
    if (reason !== undefined) {
      queueMicrotask(() => receiver.closed(reason));
      return;
    }
    this.#stream.on("data", (chunk: Uint8Array) => this.#take(chunk, receiver));
    this.#stream.resume();
  }

  send(datagram: Uint8Array): LinkDrop | undefined {
    const drop = refuse(datagram, this.#closed !== undefined) ?? this.#put(datagram);
    return countSent(this.counters, datagram.length, drop);
  }

  expire(now: number): void {
    const { idleMs, stallMs } = this.#limits;
    const { sentDatagrams, receivedDatagrams } = this.counters;
    if (this.#activity.of(sentDatagrams + receivedDatagrams, now) >= idleMs) this.close("idle");
    if (this.#stream.writableLength === 0) this.#written++; // nothing waits, so nothing is late
    if (this.#writing.of(this.#written, now) >= stallMs) this.close("stalled");
    if (!this.#reader.isInside) this.#pauses++;
    if (this.#reading.of(receivedDatagrams + this.#pauses, now) >= stallMs) this.close("frame-late");
  }

  close(reason: CloseReason = "closed-here"): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#batch = [];
    this.#stream.destroy();
    this.#receiver?.closed(reason);
  }

  #take(chunk: Uint8Array, receiver: LinkReceiver): void {
    const isSound = this.#reader.read(chunk, (datagram) => {
      if (this.#closed !== undefined) return; // the receiver has ended it in between
      this.counters.receivedDatagrams++;
      this.counters.receivedBytes += datagram.length;
      receiver.datagram(datagram);
    });
    if (!isSound) this.close("frame-too-large");
  }

  #put(datagram: Uint8Array): LinkDrop | undefined {
    const length = Frame.overhead + datagram.length;
    if (this.#stream.writableLength + this.#batchBytes + length > this.#limits.queueBytes) return "queue-full";
    const frame = Buffer.allocUnsafe(length);
    writeFrame(datagram, frame, 0);
    if (this.#batch.length === 0) setImmediate(() => this.#flush());
    this.#batch.push(frame);
    this.#batchBytes += length;
    return undefined;
  }

  #flush(): void {
    if (this.#closed !== undefined) return;
    const bytes = this.#batch.length === 1 ? this.#batch[0] : Buffer.concat(this.#batch, this.#batchBytes);
    this.#batch = [];
    this.#batchBytes = 0;
    this.#stream.write(bytes, () => {
      this.#written++;
    });
  }
}

function reasonOf(error: NodeJS.ErrnoException): CloseReason {
  return error.code === "ETIMEDOUT" ? "unanswered" : "connection-lost"; // TCP_USER_TIMEOUT and keepalive
}
