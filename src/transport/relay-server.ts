/**
 * The relay's server side: ports that take streams, and for each stream a UDP socket of its own to the WireGuard server,
 * which so sees an address for each of its peers, as if they had come by UDP.
 *
 * A relay moves nobody's session: to WireGuard every stream is another address, and an address becomes a peer's only by
 * a message that the peer's key has sealed.
 */
import { Endpoint, IpAddress } from "../base/address.ts";
import { type Clock, every, systemClock } from "./clock.ts";
import { type CloseReason, type DatagramLink, defaultLimits, type LinkLimits } from "./datagram-link.ts";
import { DatagramPort } from "./datagram-port.ts";
import { type Guest, type GuestLimits, GuestList } from "./guest-list.ts";
import { carriageOf, type Handovers } from "./handovers.ts";
import type { RelayPort } from "./relay-port.ts";
import { RelayTally } from "./relay-tally.ts";
import { SourceAddresses } from "./source-addresses.ts";
import { type StreamKind, StreamListener } from "./stream-listener.ts";
import type { TlsIdentity } from "./tls-identity.ts";
import type { WebSite } from "./web-site.ts";

export type RelayServerEvent =
  | { readonly kind: "connected"; readonly remote: string; readonly by: StreamKind }
  | { readonly kind: "closed"; readonly remote: string; readonly reason: CloseReason }
  /** No UDP socket for a stream, for want of descriptors or of a route. */
  | { readonly kind: "refused"; readonly remote: string; readonly cause: string };

export interface RelayServerOptions {
  readonly ports: readonly RelayPort[];
  /** WireGuard's, asked for with each connection. */
  readonly target: () => Endpoint;
  /** Where to note who is behind an address, for a target on this machine that wants to know; each source has its own. */
  readonly handovers?: Handovers;
  readonly mark?: number;
  readonly identity?: TlsIdentity | undefined;
  readonly site: WebSite;
  readonly limits?: LinkLimits;
  readonly guestLimits?: GuestLimits | undefined;
  readonly clock?: Clock;
  readonly onEvent?: (event: RelayServerEvent) => void;
}

const sweepMs = 1000;
/** WireGuard under load sends these to whoever knows its public key (whitepaper §5.4.7): no sign of a key it knows. */
const cookieReply = 3;
/** What may arrive from a stream before its UDP socket is there. */
const earlyDatagrams = 16;

export class RelayServer implements Disposable {
  readonly tally: RelayTally = new RelayTally();
  readonly guests: GuestList;
  readonly #options: RelayServerOptions;
  readonly #resources = new DisposableStack();
  readonly #listeners: StreamListener[] = [];
  readonly #sources = new SourceAddresses();

  /** Resolves when all ports listen. Throws `port-taken` and the like, and then none does. */
  static async open(options: RelayServerOptions): Promise<RelayServer> {
    const server = new RelayServer(options);
    try {
      for (const port of options.ports) await server.#listen(port);
      return server;
    } catch (error) {
      server[Symbol.dispose]();
      throw error;
    }
  }

  private constructor(options: RelayServerOptions) {
    this.#options = options;
    this.guests = new GuestList(options.guestLimits);
    const clock = options.clock ?? systemClock;
    this.#resources.use(every(clock, sweepMs, () => this.guests.expire(clock.now())));
    this.#resources.defer(() => this.guests.clear());
  }

  /** Where it listens, in the order of the ports. */
  get locals(): Endpoint[] {
    return this.#listeners.map((listener) => listener.local);
  }

  /** A new certificate for whoever comes from now on. */
  renew(identity: TlsIdentity): void {
    for (const listener of this.#listeners) listener.renew(identity);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  async #listen(port: RelayPort): Promise<void> {
    const { mark = 0, identity, site, limits = defaultLimits, clock = systemClock } = this.#options;
    const listener = await StreamListener.open({
      ...{ ...port, mark, identity, site, guests: this.guests, limits, clock },
      onLink: (link, kind, guest) => this.#join(link, kind, guest),
    });
    this.#listeners.push(this.#resources.use(listener));
  }

  #join(link: DatagramLink, by: StreamKind, guest: Guest): void {
    const { handovers } = this.#options;
    let port: DatagramPort | undefined;
    let isClosed = false;
    const early: Uint8Array[] = [];
    link.receive({
      datagram: (bytes) => {
        if (port !== undefined) port.send(bytes);
        else if (early.length < earlyDatagrams) early.push(Uint8Array.from(bytes));
        else this.tally.dropped.unconnected++;
      },
      closed: (reason) => {
        isClosed = true;
        this.tally.add(link, reason);
        this.tally.dropped["udp-refused"] += port?.failures ?? 0;
        if (port !== undefined) handovers?.delete(port.local);
        port?.[Symbol.dispose]();
        this.#tell({ kind: "closed", remote: link.remote, reason });
      },
    });
    this.#tell({ kind: "connected", remote: link.remote, by });
    this.#openPort(link, guest).then(
      (opened) => {
        if (isClosed) {
          opened[Symbol.dispose]();
          return;
        }
        port = opened;
        handovers?.set(opened.local, carriageOf(`${by}://${link.remote}`, link.remote));
        for (const bytes of early) opened.send(bytes);
      },
      (error: Error) => {
        this.#tell({ kind: "refused", remote: link.remote, cause: error.message });
        link.close();
      },
    );
  }

  #openPort(link: DatagramLink, guest: Guest): Promise<DatagramPort> {
    const { target, mark = 0, handovers } = this.#options;
    const remote = target();
    const anywhere = IpAddress.parse(remote.family === 4 ? "0.0.0.0" : "::");
    const local = new Endpoint(handovers === undefined ? anywhere : this.#sources.of(guest.source), 0);
    const onDatagram = (bytes: Uint8Array): void => {
      if (bytes[0] !== cookieReply) guest.answered();
      link.send(bytes);
    };
    return DatagramPort.open({ local, remote, mark, onDatagram });
  }

  #tell(event: RelayServerEvent): void {
    this.#options.onEvent?.(event);
  }
}
