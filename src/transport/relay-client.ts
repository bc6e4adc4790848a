/**
 * The relay's client side: a local UDP port that a stock WireGuard app takes for its peer, and a stream to the server for
 * each UDP address that sends to it.
 *
 *     app -- UDP --> port -- link --> server's relay -- UDP --> WireGuard
 *
 * A stream is made when something is to be sent and made again when it breaks. What comes meanwhile waits, a little of
 * it and not for long: WireGuard repeats a handshake after 5 s, and what is older is worth nothing.
 */
import type { Endpoint } from "../base/address.ts";
import { Backoff } from "./backoff.ts";
import { type Clock, every, systemClock } from "./clock.ts";
import { type CloseReason, type DatagramLink, Stillness } from "./datagram-link.ts";
import { type Correspondent, DatagramPort } from "./datagram-port.ts";
import { RelayTally } from "./relay-tally.ts";

/** What happens to a connection, for whoever watches. `app` is the UDP address it belongs to. */
export type RelayClientEvent =
  | { readonly kind: "connected"; readonly app: string; readonly remote: string }
  | { readonly kind: "closed"; readonly app: string; readonly remote: string; readonly reason: CloseReason }
  | { readonly kind: "retrying"; readonly app: string; readonly cause: string; readonly inMs: number };

export interface RelayClientOptions {
  readonly listen: Endpoint;
  readonly mark?: number;
  /** Makes a link to the server; the signal gives up. */
  readonly dial: (signal: AbortSignal) => Promise<DatagramLink>;
  /** UDP addresses that may have a stream at one time. */
  readonly maximumFlows?: number;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly onEvent?: (event: RelayClientEvent) => void;
}

const sweepMs = 1000;
const defaultFlows = 64;
/** An app that has been silent for so long needs no stream, and gets one again when it speaks. */
const silentAppMs = 180_000;
/** An app that has not spoken for so long makes room for another where there is none. */
const restingAppMs = 30_000;
/** An app that has sent something so recently gets its stream back at once, unasked: something may be sent to it. */
const activeAppMs = 30_000;
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

interface Flow {
  readonly correspondent: Correspondent;
  readonly name: string;
  readonly backoff: Backoff;
  state: FlowState;
  waiting: Waiting[];
  /** Datagrams from the app, and those among them that are owed an answer. */
  heard: number;
  asked: number;
  readonly app: Stillness;
  debt: Debt;
}

/** Since when the server owes an answer. Keepalives alone, as an idle app sends them, are owed none. */
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

export class RelayClient implements Disposable {
  readonly tally: RelayTally = new RelayTally();
  readonly #options: RelayClientOptions;
  readonly #clock: Clock;
  readonly #flows = new Map<string, Flow>();
  readonly #sweep: Disposable;
  readonly #port: DatagramPort;

  /** Resolves when it listens. Throws `port-taken` and the like. */
  static async open(options: RelayClientOptions): Promise<RelayClient> {
    let take: (bytes: Uint8Array, address: string, port: number) => void = () => {};
    const { listen: local, mark = 0 } = options;
    const port = await DatagramPort.open({ local, mark, onDatagram: (...datagram) => take(...datagram) });
    const client = new RelayClient(options, port);
    take = (bytes, address, port) => client.#take(bytes, address, port);
    return client;
  }

  private constructor(options: RelayClientOptions, port: DatagramPort) {
    this.#options = options;
    this.#port = port;
    this.#clock = options.clock ?? systemClock;
    this.#sweep = every(this.#clock, sweepMs, () => this.#expire());
  }

  get local(): Endpoint {
    return this.#port.local;
  }

  get flows(): number {
    return this.#flows.size;
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]();
    this.tally.dropped["udp-refused"] = this.#port.failures;
    for (const flow of [...this.#flows.values()]) this.#forget(flow, "closed-here");
    this.#port[Symbol.dispose]();
  }

  #take(bytes: Uint8Array, address: string, port: number): void {
    const name = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    const flow = this.#flows.get(name) ?? this.#admit(name, address, port);
    if (flow === undefined) {
      this.tally.dropped["flows-full"]++;
      return;
    }
    flow.heard++;
    if (bytes.length !== keepalive.length || bytes[0] !== keepalive.type) flow.asked++;
    if (flow.state.kind === "open") {
      flow.state.link.send(bytes);
      return;
    }
    if (flow.waiting.length === waitingDatagrams) {
      flow.waiting.shift(); // the oldest is worth least
      this.tally.dropped.unconnected++;
    }
    flow.waiting.push({ bytes: Uint8Array.from(bytes), since: this.#clock.now() });
    if (flow.state.kind === "resting") this.#connect(flow);
  }

  #admit(name: string, address: string, port: number): Flow | undefined {
    if (this.#flows.size >= (this.#options.maximumFlows ?? defaultFlows) && !this.#makeRoom()) return undefined;
    const state = { kind: "resting" } as const;
    const fresh = { backoff: new Backoff(), state, heard: 0, asked: 0, app: new Stillness(), debt: new Debt(0) };
    const correspondent = DatagramPort.correspondent(address, port);
    const flow: Flow = { correspondent, name, ...fresh, waiting: [] };
    this.#flows.set(name, flow);
    return flow;
  }

  #makeRoom(): boolean {
    const now = this.#clock.now();
    const resting = [...this.#flows.values()].find((flow) => flow.app.of(flow.heard, now) >= restingAppMs);
    if (resting === undefined) return false;
    this.#forget(resting, "crowded-out");
    return true;
  }

  #connect(flow: Flow): void {
    const abort = new AbortController();
    flow.state = { kind: "connecting", abort };
    this.#options.dial(abort.signal).then(
      (link) => (abort.signal.aborted ? link.close() : this.#use(flow, link)),
      (error: unknown) => {
        if (!abort.signal.aborted) this.#retry(flow, error instanceof Error ? error.message : String(error));
      },
    );
  }

  #use(flow: Flow, link: DatagramLink): void {
    flow.state = { kind: "open", link };
    flow.debt = new Debt(flow.asked - Math.min(1, flow.waiting.length));
    this.#tell({ kind: "connected", app: flow.name, remote: link.remote });
    link.receive({
      datagram: (bytes) => this.#port.send(bytes, flow.correspondent),
      closed: (reason) => this.#lose(flow, link, reason),
    });
    const now = this.#clock.now();
    for (const { bytes, since } of flow.waiting) {
      if (now - since < waitingMs) link.send(bytes);
      else this.tally.dropped.unconnected++;
    }
    flow.waiting = [];
  }

  #lose(flow: Flow, link: DatagramLink, reason: CloseReason): void {
    this.tally.add(link, reason);
    this.#tell({ kind: "closed", app: flow.name, remote: link.remote, reason });
    if (this.#flows.get(flow.name) !== flow) return;
    flow.state = { kind: "resting" };
    if (flow.app.of(flow.heard, this.#clock.now()) >= activeAppMs) return; // it comes back when there is something to send
    if (link.counters.receivedDatagrams === 0) this.#retry(flow, `the connection ended without an answer (${reason})`);
    else {
      flow.backoff.reset();
      this.#connect(flow);
    }
  }

  #retry(flow: Flow, cause: string): void {
    const inMs = flow.backoff.next((this.#options.random ?? Math.random)());
    this.#tell({ kind: "retrying", app: flow.name, cause, inMs });
    const timer = this.#clock.after(inMs, () => {
      if (flow.waiting.length > 0 || flow.app.of(flow.heard, this.#clock.now()) < activeAppMs) this.#connect(flow);
      else flow.state = { kind: "resting" };
    });
    flow.state = { kind: "pausing", timer };
  }

  #expire(): void {
    const now = this.#clock.now();
    this.tally.dropped["udp-refused"] = this.#port.failures;
    for (const flow of [...this.#flows.values()]) {
      const silentMs = flow.app.of(flow.heard, now);
      if (silentMs >= silentAppMs) {
        this.#forget(flow, "idle");
        continue;
      }
      if (flow.state.kind !== "open") continue;
      const { link } = flow.state;
      if (flow.debt.of(flow.asked, link.counters.receivedDatagrams, now) >= owedMs) link.close("unanswered");
      else link.expire(now);
    }
  }

  #forget(flow: Flow, reason: CloseReason): void {
    this.#flows.delete(flow.name);
    const { state } = flow;
    flow.state = { kind: "resting" };
    if (state.kind === "open") state.link.close(reason);
    else if (state.kind === "connecting") state.abort.abort();
    else if (state.kind === "pausing") state.timer[Symbol.dispose]();
  }

  #tell(event: RelayClientEvent): void {
    this.#options.onEvent?.(event);
  }
}
