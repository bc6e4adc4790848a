/**
 * The datagrams of one sender, carried through streams to one server: a stream is made when something is to be sent, and
 * made again when it breaks. What comes meanwhile waits, a little of it and not for long: WireGuard repeats a handshake
 * after 5 s, and what is older is worth nothing.
 */
import { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { type CloseReason, type DatagramLink, Stillness } from "./datagram-link.ts";

/** What happens to the connection, for whoever watches. */
export type StreamFlowEvent =
  | { readonly kind: "connected"; readonly remote: string }
  | { readonly kind: "closed"; readonly remote: string; readonly reason: CloseReason; readonly link: DatagramLink }
  | { readonly kind: "retrying"; readonly cause: string; readonly inMs: number };

export interface StreamFlowOptions {
  /** Makes a link to the server; the signal gives up. */
  readonly dial: (signal: AbortSignal) => Promise<DatagramLink>;
  /** A datagram from the server, for the length of the call. */
  readonly deliver: (bytes: Uint8Array) => void;
  readonly onEvent: (event: StreamFlowEvent) => void;
  /** A datagram that waited in vain. */
  readonly onUnconnected: () => void;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Who has sent something so recently gets the stream back at once, unasked: something may be sent to them. */
const activeMs = 30_000;
/** How long an answer may be owed before the stream is made anew: WireGuard gives one within 15 s (whitepaper §6.5). */
const owedMs = 20_000;
/** A data message without content, which is owed nothing. */
const keepalive = { type: 4, length: 32 } as const;
const waitingDatagrams = 64;
const waitingMs = 5000;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly since: number;
}

type FlowState =
  | { readonly kind: "connecting"; readonly abort: AbortController }
  | { readonly kind: "open"; readonly link: DatagramLink }
  | { readonly kind: "pausing"; readonly timer: Disposable }
  /** Nothing to send, nothing to do. */
  | { readonly kind: "resting" };

export class StreamFlow {
  readonly #options: StreamFlowOptions;
  readonly #backoff = new Backoff();
  readonly #sender = new Stillness();
  #state: FlowState = { kind: "resting" };
  #waiting: Waiting[] = [];
  /** Datagrams sent, and those among them that are owed an answer. */
  #heard = 0;
  #asked = 0;
  #debt = new Debt(0);
  #isEnded = false;

  constructor(options: StreamFlowOptions) {
    this.#options = options;
  }

  get state(): FlowState["kind"] {
    return this.#state.kind;
  }

  /** For how long nothing was sent, in milliseconds up to `now`. */
  silentMs(now: number): number {
    return this.#sender.of(this.#heard, now);
  }

  /** Sends a copy, as soon as there is a stream. */
  send(bytes: Uint8Array): void {
    this.#heard++;
    if (bytes.length !== keepalive.length || bytes[0] !== keepalive.type) this.#asked++;
    if (this.#state.kind === "open") {
      this.#state.link.send(bytes);
      return;
    }
    if (this.#waiting.length === waitingDatagrams) {
      this.#waiting.shift(); // the oldest is worth least
      this.#options.onUnconnected();
    }
    this.#waiting.push({ bytes: Uint8Array.from(bytes), since: this.#options.clock.now() });
    this.connect();
  }

  /** Makes a stream if there is none, nor one under way. */
  connect(): void {
    if (this.#state.kind === "resting" && !this.#isEnded) this.#connect();
  }

  /** Acts on what is late; to be called about once a second. */
  expire(now: number): void {
    if (this.#state.kind !== "open") return;
    const { link } = this.#state;
    if (this.#debt.of(this.#asked, link.counters.receivedDatagrams, now) >= owedMs) link.close("unanswered");
    else link.expire(now);
  }

  /** Ends the stream until something is to be sent again. */
  rest(reason: CloseReason = "closed-here"): void {
    const state = this.#state;
    this.#state = { kind: "resting" };
    this.#waiting = [];
    if (state.kind === "open") state.link.close(reason);
    else if (state.kind === "connecting") state.abort.abort();
    else if (state.kind === "pausing") state.timer[Symbol.dispose]();
  }

  /** Ends it for good. */
  end(reason: CloseReason = "closed-here"): void {
    this.#isEnded = true;
    this.rest(reason);
  }

  #connect(): void {
    const abort = new AbortController();
    this.#state = { kind: "connecting", abort };
    this.#options.dial(abort.signal).then(
      (link) => (abort.signal.aborted ? link.close() : this.#use(link)),
      (error: unknown) => {
        if (!abort.signal.aborted) this.#retry(error instanceof Error ? error.message : String(error));
      },
    );
  }

  #use(link: DatagramLink): void {
    const state: FlowState = { kind: "open", link };
    this.#state = state;
    this.#debt = new Debt(this.#asked - Math.min(1, this.#waiting.length));
    this.#options.onEvent({ kind: "connected", remote: link.remote });
    link.receive({
      datagram: (bytes) => this.#options.deliver(bytes),
      closed: (reason) => this.#lose(link, reason, this.#state === state),
    });
    const now = this.#options.clock.now();
    for (const { bytes, since } of this.#waiting) {
      if (now - since < waitingMs) link.send(bytes);
      else this.#options.onUnconnected();
    }
    this.#waiting = [];
  }

  #lose(link: DatagramLink, reason: CloseReason, isUsed: boolean): void {
    this.#options.onEvent({ kind: "closed", remote: link.remote, reason, link });
    if (!isUsed || this.#isEnded) return;
    this.#state = { kind: "resting" };
    // It comes back when there is something to send, as there was not, or is not any more.
    if (this.#heard === 0 || this.silentMs(this.#options.clock.now()) >= activeMs) return;
    if (link.counters.receivedDatagrams === 0) this.#retry(`the connection ended without an answer (${reason})`);
    else {
      this.#backoff.reset();
      this.#connect();
    }
  }

  #retry(cause: string): void {
    const { clock, random, onEvent } = this.#options;
    const inMs = this.#backoff.next(random());
    const timer = clock.after(inMs, () => {
      if (this.#waiting.length > 0 || this.silentMs(clock.now()) < activeMs) this.#connect();
      else this.#state = { kind: "resting" };
    });
    this.#state = { kind: "pausing", timer };
    onEvent({ kind: "retrying", cause, inMs });
  }
}

/** Since when the server owes an answer. Keepalives alone, as an idle sender has them, are owed none. */
class Debt {
  #asked: number;
  #answered = 0;
  #since: number | undefined;

  constructor(asked: number) {
    this.#asked = asked;
  }

  /** For how long, in milliseconds up to `now`. */
  of(asked: number, answered: number, now: number): number {
    if (answered !== this.#answered) {
      this.#answered = answered;
      this.#asked = asked;
      this.#since = undefined;
    }
    if (asked === this.#asked) return 0;
    this.#since ??= now;
    return now - this.#since;
  }
}
