/**
 * The relay's client side: a local UDP port that a stock WireGuard app takes for its peer, and a stream to the server for
 * each UDP address that sends to it.
 *
 *     app -- UDP --> port -- link --> server's relay -- UDP --> WireGuard
 *
 * Each has its streams by `stream-flow.ts`: made when something is to be sent, and made again when they break.
 */
import type { Endpoint } from "../base/address.ts";
import { type Clock, every, systemClock } from "./clock.ts";
import type { CloseReason, DatagramLink } from "./datagram-link.ts";
import { DatagramPort } from "./datagram-port.ts";
import { RelayTally } from "./relay-tally.ts";
import { StreamFlow, type StreamFlowEvent } from "./stream-flow.ts";

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

export class RelayClient implements Disposable {
  readonly tally: RelayTally = new RelayTally();
  readonly #options: RelayClientOptions;
  readonly #clock: Clock;
  readonly #flows = new Map<string, StreamFlow>();
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
    for (const name of [...this.#flows.keys()]) this.#forget(name, "closed-here");
    this.#port[Symbol.dispose]();
  }

  #take(bytes: Uint8Array, address: string, port: number): void {
    const name = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    const flow = this.#flows.get(name) ?? this.#admit(name, address, port);
    if (flow === undefined) this.tally.dropped["flows-full"]++;
    else flow.send(bytes);
  }

  #admit(name: string, address: string, port: number): StreamFlow | undefined {
    const { maximumFlows = defaultFlows, dial, random = Math.random } = this.#options;
    if (this.#flows.size >= maximumFlows && !this.#makeRoom()) return undefined;
    const correspondent = DatagramPort.correspondent(address, port);
    const flow = new StreamFlow({
      dial,
      deliver: (bytes) => this.#port.send(bytes, correspondent),
      onEvent: (event) => this.#tell(name, event),
      onUnconnected: () => {
        this.tally.dropped.unconnected++;
      },
      clock: this.#clock,
      random,
    });
    this.#flows.set(name, flow);
    return flow;
  }

  #makeRoom(): boolean {
    const now = this.#clock.now();
    const resting = [...this.#flows].find(([, flow]) => flow.silentMs(now) >= restingAppMs);
    if (resting === undefined) return false;
    this.#forget(resting[0], "crowded-out");
    return true;
  }

  #expire(): void {
    const now = this.#clock.now();
    this.tally.dropped["udp-refused"] = this.#port.failures;
    for (const [name, flow] of [...this.#flows]) {
      if (flow.silentMs(now) >= silentAppMs) this.#forget(name, "idle");
      else flow.expire(now);
    }
  }

  #forget(name: string, reason: CloseReason): void {
    const flow = this.#flows.get(name);
    this.#flows.delete(name);
    flow?.end(reason);
  }

  #tell(app: string, event: StreamFlowEvent): void {
    const { onEvent } = this.#options;
    if (event.kind !== "closed") {
      onEvent?.({ ...event, app });
      return;
    }
    const { link, ...rest } = event;
    this.tally.add(link, event.reason);
    onEvent?.({ ...rest, app });
  }
}
