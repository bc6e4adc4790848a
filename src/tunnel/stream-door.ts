/**
 * The listening side of a tunnel: ports at which peers may come by TCP, TLS or WebSocket. Each connection becomes an
 * address on loopback to the tunnel, and a peer moves there with its first authenticated message, as it does by UDP.
 *
 * A source outside has one such address for all its connections, so that what limits handshakes by source
 * (`wireguard/handshake-limiter.ts`) limits it here, too, and not all who come by streams together.
 */
import { Endpoint, IpAddress } from "../base/address.ts";
import { every, systemClock } from "../transport/clock.ts";
import type { Handovers } from "../transport/handovers.ts";
import { relayPorts } from "../transport/relay-port.ts";
import { RelayServer } from "../transport/relay-server.ts";
import { readIdentity, type TlsIdentity } from "../transport/tls-identity.ts";
import type { TransportUrl } from "../transport/transport-url.ts";
import { WebSite } from "../transport/web-site.ts";
import type { Tunnel } from "./tunnel.ts";

/** What a configuration says of it. */
export interface DoorSettings {
  readonly listen: readonly TransportUrl[];
  readonly certificate?: string;
  readonly certificateKey?: string;
  readonly webPage?: string;
}

export interface StreamDoorOptions {
  readonly tunnel: Pick<Tunnel, "port" | "mark">;
  readonly handovers: Handovers;
  /** Told in a line where it listens, and what is refused for want of means. Who comes is not told: strangers would fill the log. */
  readonly log: (line: string) => void;
}

const lookEveryMs = 1000;
const loopback = IpAddress.parse("127.0.0.1");

export class StreamDoor implements Disposable {
  readonly #options: StreamDoorOptions;
  #server: RelayServer | undefined;
  #settings: DoorSettings = { listen: [] };
  #opened = "";
  readonly #watch: Disposable;
  #port: number;

  constructor(options: StreamDoorOptions) {
    this.#options = options;
    this.#port = options.tunnel.port;
    this.#watch = every(systemClock, lookEveryMs, () => this.#followPort());
  }

  /** Brings it to these settings; certificates are read anew. Throws what is in the way, and then all stays as it was. */
  async change(settings: DoorSettings): Promise<void> {
    const identity = identityOf(settings);
    const wanted = JSON.stringify([
      settings.listen.map((url) => url.reveal()),
      settings.webPage,
      this.#options.tunnel.mark,
    ]);
    const isSame = wanted === this.#opened && (identity === undefined) === (identityOf(this.#settings) === undefined);
    if (isSame) {
      if (identity !== undefined) this.#server?.renew(identity);
      this.#settings = settings;
      return;
    }
    const former = this.#settings;
    this.#close();
    try {
      await this.#open(settings, identity);
    } catch (error) {
      await this.#open(former, identityOf(former));
      throw error;
    }
    this.#opened = wanted;
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#close();
  }

  #close(): void {
    const server = this.#server;
    if (server === undefined) return;
    server[Symbol.dispose]();
    const counts = Object.entries({ ...server.tally.dropped, ...server.guests.faults }).filter(
      ([, count]) => count > 0,
    );
    if (counts.length > 0) {
      this.#options.log(`streams dropped or turned away: ${counts.map((count) => count.join(" ")).join(", ")}`);
    }
    this.#server = undefined;
    this.#opened = "";
  }

  async #open(settings: DoorSettings, identity: TlsIdentity | undefined): Promise<void> {
    const { tunnel, handovers, log } = this.#options;
    this.#settings = settings;
    if (settings.listen.length === 0) return;
    this.#server = await RelayServer.open({
      ports: settings.listen.flatMap(relayPorts),
      target: () => new Endpoint(loopback, tunnel.port),
      handovers,
      mark: tunnel.mark,
      identity,
      site: settings.webPage === undefined ? WebSite.plain() : WebSite.read(settings.webPage),
      onEvent: (event) => {
        if (event.kind === "refused") log(`${event.remote} was refused: ${event.cause}`);
      },
    });
    log(`peers may come by ${settings.listen.join(", ")}`);
  }

  /** Who came by streams speaks to the port that was the tunnel's then: they have to come again. */
  #followPort(): void {
    const { port } = this.#options.tunnel;
    if (port === this.#port) return;
    this.#port = port;
    this.#server?.guests.clear();
  }
}

function identityOf({ listen, certificate, certificateKey }: DoorSettings): TlsIdentity | undefined {
  if (!listen.some(({ isSecure }) => isSecure)) return undefined;
  return certificate === undefined || certificateKey === undefined
    ? undefined
    : readIdentity(certificate, certificateKey);
}
