/** Both ends of a link of each kind, for the compliance suite and others: over loopback, or in memory. */
import { once } from "node:events";
import { Endpoint } from "../../../src/base/address.ts";
import { systemClock } from "../../../src/transport/clock.ts";
import {
  type CloseReason,
  type DatagramLink,
  defaultLimits,
  type LinkLimits,
} from "../../../src/transport/datagram-link.ts";
import { GuestList } from "../../../src/transport/guest-list.ts";
import { MemoryLink } from "../../../src/transport/memory-link.ts";
import { dial } from "../../../src/transport/stream-dialer.ts";
import { type StreamKind, StreamListener } from "../../../src/transport/stream-listener.ts";
import { TransportUrl } from "../../../src/transport/transport-url.ts";
import { WebSite } from "../../../src/transport/web-site.ts";
import { makeCertificate } from "../../certificate.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

export interface LinkEnds extends Disposable {
  readonly dialled: DatagramLink;
  readonly accepted: DatagramLink;
}

export type LinkOpener = (limits?: LinkLimits) => Promise<LinkEnds>;

/** A message that opens a connection: frames are told from others by their first one. */
export const opening: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 4 : i < 4 ? 0 : i));

const identity = makeCertificate();

export const linkKinds: Readonly<Record<string, LinkOpener>> = {
  memory(limits = defaultLimits) {
    const random = new SeededRandom(1);
    const [dialled, accepted] = MemoryLink.pair({ clock: systemClock, random: () => random.fraction(), limits });
    dialled.send(opening);
    return Promise.resolve({ dialled, accepted, [Symbol.dispose]: () => dialled.close() });
  },
  tcp: (limits) => openStream("tcp", limits),
  tls: (limits) => openStream("tls", limits),
  ws: (limits) => openStream("ws", limits),
  wss: (limits) => openStream("wss", limits),
};

async function openStream(kind: StreamKind, limits: LinkLimits = defaultLimits): Promise<LinkEnds> {
  const { promise: accepted, resolve } = Promise.withResolvers<DatagramLink>();
  const guests = new GuestList();
  const listener = await StreamListener.open({
    local: Endpoint.parse("127.0.0.1:0"),
    accepts: new Set([kind]),
    path: "/tunnel",
    identity,
    site: WebSite.plain(),
    guests,
    limits,
    clock: systemClock,
    onLink: resolve,
  });
  const path = kind === "ws" || kind === "wss" ? "/tunnel" : "";
  const url = TransportUrl.parse(`${kind}://127.0.0.1:${listener.local.port}${path}`);
  const dialled = await dial({ url, limits, ca: identity.cert }, AbortSignal.timeout(10_000));
  dialled.send(opening);
  const dispose = (): void => {
    dialled.close();
    guests.clear();
    listener[Symbol.dispose]();
  };
  return { dialled, accepted: await accepted, [Symbol.dispose]: dispose };
}

/** Receives on one end, and lets a test wait for what comes. */
export class Inbox {
  readonly datagrams: Uint8Array[] = [];
  readonly #arrivals = new EventTarget();
  reason: CloseReason | undefined;

  constructor(link: DatagramLink) {
    link.receive({
      datagram: (bytes) => {
        this.datagrams.push(Uint8Array.from(bytes));
        this.#arrivals.dispatchEvent(new Event("change"));
      },
      closed: (reason) => {
        if (this.reason !== undefined) throw new Error("closed twice");
        this.reason = reason;
        this.#arrivals.dispatchEvent(new Event("change"));
      },
    });
  }

  /** Waits until so many datagrams are there. */
  async holds(count: number): Promise<Uint8Array[]> {
    await this.#until(
      () => this.datagrams.length >= count,
      () => `${count} datagrams, of which ${this.datagrams.length} came`,
    );
    return this.datagrams;
  }

  /** Waits for the end of the link. */
  async end(): Promise<CloseReason | undefined> {
    await this.#until(
      () => this.reason !== undefined,
      () => "the end of the link",
    );
    return this.reason;
  }

  async #until(holds: () => boolean, what: () => string): Promise<void> {
    const signal = AbortSignal.timeout(10_000);
    while (!holds()) {
      await once(this.#arrivals, "change", { signal }).catch((error: unknown) => {
        throw new Error(`waited in vain for ${what()}`, { cause: error });
      });
    }
  }
}
