/**
 * Where a trace looks: at the tunnel's interface, for packets, and at the interfaces by which its peers are reached, for
 * the messages on its UDP port. What the kernel keeps for us is bounded and so is what is taken at a time: when more
 * passes, the kernel drops the rest from the capture, never from the network, and counts it.
 */
import { Endpoint } from "../base/address.ts";
import type { InterfaceConfig } from "../os/interface-config.ts";
import type { Link } from "../os/links.ts";
import { everyPacket, udpPackets } from "../os/packet-filter.ts";
import { type CapturedPacket, type CaptureStatistics, PacketSocket } from "../os/packet-socket.ts";

/** Room for a ping or a few hundred of them; of super-packets of 64 KiB, for seven. The kernel doubles it. */
const bufferBytes = 256 * 1024;
/** Packets taken from one interface at a time. */
const packetsPerLook = 128;

/** Bounds for tunnels with many peers, on machines with many interfaces. */
const mostEndpoints = 256;
const mostDevices = 16;

/** Where messages may be seen. */
export interface Outskirts {
  /** The peers' endpoints, and whether some have none yet. */
  readonly endpoints: readonly string[];
  readonly awaited: boolean;
  /** The tunnel's own UDP port, 0 while it has none, and the mark of its socket. */
  readonly port: number;
  readonly mark: number;
}

export interface VantagePoint {
  /** In the order in which they were opened, from 0: the tunnel's own. */
  readonly number: number;
  readonly side: "inside" | "outside";
  readonly device: string;
}

export interface SeenPacket {
  readonly point: VantagePoint;
  readonly packet: CapturedPacket;
}

interface Lookout extends VantagePoint {
  readonly socket: PacketSocket;
}

export interface VantageOptions {
  /** The tunnel's interface. */
  readonly device: Link;
  /** Bytes to which packets are cut. */
  readonly snap: number;
  /** Told of each as it is opened. */
  readonly onOpen: (point: VantagePoint) => void;
}

export class VantagePoints implements Disposable {
  readonly #config: InterfaceConfig;
  readonly #options: VantageOptions;
  #lookouts: Lookout[] = [];
  #opened = 0;
  #port = 0;

  /** Looks at the tunnel's interface from now on. */
  constructor(config: InterfaceConfig, options: VantageOptions) {
    this.#config = config;
    this.#options = options;
    const { device, snap } = options;
    const socket = PacketSocket.open({ device: device.index, bufferBytes, times: true, filter: everyPacket(snap) });
    this.#add("inside", device.name, socket);
  }

  /**
   * Looks for messages on `port` wherever the way to one of these endpoints leads, for a socket with this mark; and where
   * peers may yet come from, if there are such.
   */
  watch({ endpoints, port, mark, awaited }: Outskirts): void {
    if (port !== this.#port) this.#closeOutside();
    this.#port = port;
    const known = endpoints.slice(0, mostEndpoints).flatMap((endpoint) => this.#deviceTo(endpoint, mark) ?? []);
    for (const index of new Set([...known, ...(awaited ? this.#devicesAround() : [])])) {
      const device = this.#config.links.find(index)?.name;
      if (device === undefined || port === 0 || this.#lookouts.some((lookout) => lookout.device === device)) continue;
      const filter = udpPackets(port, this.#options.snap);
      const socket = PacketSocket.open({ device: index, bufferBytes, times: true, filter });
      this.#add("outside", device, socket);
    }
  }

  /** What was seen since the last look, oldest first; of each interface no more than so many packets. */
  look(): SeenPacket[] {
    const seen = this.#lookouts.flatMap(({ socket, ...point }) =>
      socket.drainPackets(packetsPerLook).map((packet) => ({ point, packet })),
    );
    return seen.sort((a, b) => millisecondsOf(a.packet) - millisecondsOf(b.packet));
  }

  statistics(): (VantagePoint & CaptureStatistics)[] {
    return this.#lookouts.map(({ socket, ...point }) => ({ ...point, ...socket.statistics() }));
  }

  [Symbol.dispose](): void {
    for (const { socket } of this.#lookouts) socket[Symbol.dispose]();
  }

  /** A link-local endpoint names its interface itself, after a `%` (RFC 4007 §11). */
  #deviceTo(endpoint: string, mark: number): number | undefined {
    const scope = /%([^\]]+)\]/.exec(endpoint)?.[1];
    if (scope !== undefined) return this.#config.links.find(/^[0-9]+$/.test(scope) ? Number(scope) : scope)?.index;
    return this.#config.routes.lookup(Endpoint.parse(endpoint).address, mark)?.route.device;
  }

  #devicesAround(): number[] {
    const links = this.#config.links.list().filter(({ up, loopback, name }) => {
      return up && !loopback && name !== this.#options.device.name;
    });
    return links.slice(0, mostDevices).map(({ index }) => index);
  }

  #add(side: VantagePoint["side"], device: string, socket: PacketSocket): void {
    const point = { number: this.#opened++, side, device };
    this.#lookouts.push({ ...point, socket });
    this.#options.onOpen(point);
  }

  #closeOutside(): void {
    for (const { side, socket } of this.#lookouts) if (side === "outside") socket[Symbol.dispose]();
    this.#lookouts = this.#lookouts.filter(({ side }) => side === "inside");
  }
}

/** When a packet was seen, in milliseconds since 1970 with a fraction. */
export function millisecondsOf({ time }: CapturedPacket): number {
  return time === undefined ? 0 : time.seconds * 1000 + time.nanoseconds / 1e6;
}
