/**
 * A datagram link over a WebSocket (RFC 6455): one binary message to a datagram, nothing around it. Such a connection
 * passes where only the web does, also through a reverse proxy; there TCP ends at the proxy, so the dialling end asks
 * with a ping whether the other one is still alive.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
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

/** Silence after which to ask: web servers cut what is silent for a minute (nginx, proxy_read_timeout). */
const askAfterMs = 20_000;
const unansweredMs = 30_000;
const goingAway = 1001; // RFC 6455 §7.4.1
const overheadBytes = 14; // §5.2: the longest header with a mask

/** What to ask of `ws` at both ends. Compression would cost time and win nothing: the datagrams are encrypted. */
export const webSocketOptions = {
  perMessageDeflate: false,
  maxFragments: 64,
  maxBufferedChunks: 4096,
  skipUTF8Validation: true,
} as const;

export interface WebSocketLinkOptions {
  readonly limits?: LinkLimits;
  /** Whether this end asks for signs of life. */
  readonly asks?: boolean;
}

export class WebSocketLink implements DatagramLink {
  readonly remote: string;
  readonly counters: LinkCounters = newCounters();
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  readonly #limits: LinkLimits;
  readonly #asks: boolean;
  readonly #activity = new Stillness();
  readonly #writing = new Stillness();
  readonly #life = new Stillness();
  #receiver: LinkReceiver | undefined;
  #closed: CloseReason | undefined;
  #isCorked = false;
  #written = 0;
  #signs = 0;

  /** Takes over an open WebSocket, and the stream below it that is to be written in bursts. */
  constructor(socket: WebSocket, stream: Duplex, remote: string, options: WebSocketLinkOptions = {}) {
    this.#socket = socket;
    this.#stream = stream;
    this.remote = remote;
    this.#limits = options.limits ?? defaultLimits;
    this.#asks = options.asks === true;
    socket.on("error", (error) => this.close(reasonOf(error)));
    socket.on("close", (code) => this.close(code === 1006 ? "connection-lost" : "closed-there")); // §7.4.1: no frame said so
    socket.on("pong", () => {
      this.#signs++;
    });
    socket.pause();
  }

  receive(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    const reason = this.#closed;
    if (reason !== undefined) {
      queueMicrotask(() => receiver.closed(reason));
      return;
    }
    this.#socket.on("message", (data: Buffer, isBinary: boolean) => this.#take(data, isBinary, receiver));
    this.#socket.resume();
  }

  send(datagram: Uint8Array): LinkDrop | undefined {
    const drop = refuse(datagram, this.#closed !== undefined) ?? this.#put(datagram);
    return countSent(this.counters, datagram.length, drop);
  }

  expire(now: number): void {
    const { idleMs, stallMs } = this.#limits;
    const { sentDatagrams, receivedDatagrams } = this.counters;
    if (this.#activity.of(sentDatagrams + receivedDatagrams, now) >= idleMs) this.close("idle");
    if (this.#socket.bufferedAmount === 0) this.#written++; // nothing waits, so nothing is late
    if (this.#writing.of(this.#written, now) >= stallMs) this.close("stalled");
    if (!this.#asks || this.#closed !== undefined) return;
    const silentMs = this.#life.of(receivedDatagrams + this.#signs, now);
    if (silentMs >= unansweredMs) this.close("unanswered");
    else if (silentMs >= askAfterMs) this.#socket.ping();
  }

  close(reason: CloseReason = "closed-here"): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.close(goingAway);
    this.#uncork();
    setImmediate(() => this.#socket.terminate()); // TLS writes after this turn; an answer is not waited for
    this.#receiver?.closed(reason);
  }

  #take(data: Buffer, isBinary: boolean, receiver: LinkReceiver): void {
    if (this.#closed !== undefined) return;
    if (!isBinary) {
      this.close("not-a-datagram");
      return;
    }
    if (data.length === 0) return; // as with frames: a datagram without content
    this.counters.receivedDatagrams++;
    this.counters.receivedBytes += data.length;
    receiver.datagram(data);
  }

  #put(datagram: Uint8Array): LinkDrop | undefined {
    if (this.#socket.bufferedAmount + overheadBytes + datagram.length > this.#limits.queueBytes) return "queue-full";
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#stream.cork();
      setImmediate(() => this.#uncork());
    }
    // A copy: `ws` masks it only in the end that dials, and would hold on to what is the caller's.
    this.#socket.send(Buffer.from(datagram), { binary: true }, () => {
      this.#written++;
    });
    return undefined;
  }

  #uncork(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#stream.uncork();
  }
}

function reasonOf(error: NodeJS.ErrnoException): CloseReason {
  if (error.code === "ETIMEDOUT") return "unanswered";
  if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") return "frame-too-large";
  return error.code?.startsWith("WS_ERR_") === true ? "not-a-datagram" : "connection-lost";
}
