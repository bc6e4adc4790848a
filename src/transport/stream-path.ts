/**
 * A way to one peer through a stream, for a tunnel whose packet path knows datagrams only: a place on loopback that the
 * tunnel sends to as to any endpoint, and from which the peer's datagrams come.
 *
 *     tunnel -- UDP on loopback --> place -- link --> the peer's listening side
 *
 * Only the tunnel's own socket is heard here: others on this machine get no stream through it, nor a word in.
 */
import { Endpoint, IpAddress } from "../base/address.ts";
import { type Clock, every, systemClock } from "./clock.ts";
import type { DatagramLink } from "./datagram-link.ts";
import { type Correspondent, DatagramPort } from "./datagram-port.ts";
import { carriageOf, type Handovers } from "./handovers.ts";
import { StreamFlow, type StreamFlowEvent } from "./stream-flow.ts";

export interface StreamPathOptions {
  /** For a reader, while there is no connection: `tls://vpn.example:443`. */
  readonly name: string;
  /** The tunnel's UDP port, which may change. */
  readonly tunnelPort: () => number;
  readonly handovers: Handovers;
  /** Makes a link to the peer; the signal gives up. */
  readonly dial: (signal: AbortSignal) => Promise<DatagramLink>;
  readonly onEvent: (event: StreamFlowEvent) => void;
  readonly clock?: Clock;
  readonly random?: () => number;
}

const sweepMs = 1000;
const loopback = IpAddress.parse("127.0.0.1");

export class StreamPath implements Disposable {
  readonly #options: StreamPathOptions;
  readonly #flow: StreamFlow;
  readonly #port: DatagramPort;
  readonly #sweep: Disposable;
  readonly #local: Endpoint;
  #tunnel: Correspondent;
  /** Datagrams that came from elsewhere than the tunnel, or found no stream in time. */
  dropped: number = 0;

  /** Resolves when the tunnel may send there; nothing connects before it does, or `connect` is called. */
  static async open(options: StreamPathOptions): Promise<StreamPath> {
    let take: (bytes: Uint8Array, address: string, port: number) => void = () => {};
    const local = new Endpoint(loopback, 0);
    const port = await DatagramPort.open({ local, onDatagram: (...datagram) => take(...datagram) });
    const path = new StreamPath(options, port);
    take = (bytes, address, from) => path.#take(bytes, address, from);
    return path;
  }

  private constructor(options: StreamPathOptions, port: DatagramPort) {
    const { clock = systemClock, random = Math.random, dial } = options;
    this.#options = options;
    this.#port = port;
    this.#local = port.local;
    this.#tunnel = DatagramPort.correspondent(String(loopback), options.tunnelPort());
    this.#flow = new StreamFlow({
      dial,
      deliver: (bytes) => this.#port.send(bytes, this.#home()),
      onEvent: (event) => this.#follow(event),
      onUnconnected: () => {
        this.dropped++;
      },
      clock,
      random,
    });
    this.#sweep = every(clock, sweepMs, () => this.#flow.expire(clock.now()));
    this.#name(undefined);
  }

  /** What the tunnel sends to, with what is behind it. */
  get place(): Endpoint {
    return this.#options.handovers.resolve(this.#local);
  }

  get state(): StreamFlow["state"] {
    return this.#flow.state;
  }

  /** Makes a connection in advance, unless there is one or one is under way. */
  connect(): void {
    this.#flow.connect();
  }

  /** Ends the connection until the tunnel sends again. */
  rest(): void {
    this.#flow.rest();
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]();
    this.#flow.end();
    this.#options.handovers.delete(this.#local);
    this.#port[Symbol.dispose]();
  }

  #take(bytes: Uint8Array, address: string, port: number): void {
    if (port === this.#home().port && address === this.#tunnel.address) this.#flow.send(bytes);
    else this.dropped++;
  }

  #home(): Correspondent {
    const port = this.#options.tunnelPort();
    if (port !== this.#tunnel.port) this.#tunnel = DatagramPort.correspondent(String(loopback), port);
    return this.#tunnel;
  }

  #follow(event: StreamFlowEvent): void {
    if (event.kind === "connected") this.#name(event.remote);
    this.#options.onEvent(event);
  }

  /** As shown: the scheme of what was asked for and, once that is known, the address that answered. */
  #name(remote: string | undefined): void {
    const { name, handovers } = this.#options;
    const carriage =
      remote === undefined ? { name, remote: undefined } : carriageOf(name.replace(/(?<=:\/\/).*/, remote), remote);
    handovers.set(this.#local, carriage);
  }
}
