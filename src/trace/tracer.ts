/**
 * `warren trace`: looks at a live tunnel from outside of it, as a process of its own, so that a tunnel nobody looks at
 * pays nothing. A few times a second it takes what the kernel has kept of the interfaces' packets, a bounded number, finds
 * which message carried which packet, and hands on the most telling of them; the rest is counted.
 */
import { describeTunnel, type TunnelDescription } from "../api/control-client.ts";
import { IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { echoKind, summarisePacket } from "../lab/packet-summary.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import type { CapturedPacket } from "../os/packet-socket.ts";
import { comparePackets } from "../packet/difference.ts";
import { dissect } from "../packet/dissection.ts";
import type { CaptureFile } from "./capture-file.ts";
import { captureLength } from "./capture-length.ts";
import type { Carrier, Journey, RouteDecision, Sighting, TraceEvent, TraceSummary } from "./journey.ts";
import { readOuterDatagram } from "./outer-datagram.ts";
import { type Inside, type Match, type Outside, PacketMatcher } from "./packet-matcher.ts";
import { describePacket } from "./packet-title.ts";
import { TunnelPeers } from "./tunnel-peers.ts";
import { millisecondsOf, type VantagePoint, VantagePoints } from "./vantage-points.ts";

const lookEveryMs = 100;
/** Where much passes there is enough to show, and each look is taken from the tunnel's own time. */
const lookWhenBusyMs = 400;
const busyFrom = 16;
/** Of what was seen at one look, so many packets are taken apart; echoes first. */
const shownPerLook = 2;
/** And so many messages that carry no packet, of which strangers can send any number. */
const messagesPerLook = 8;
/** How often the tunnel is asked for its peers: they move, and are added. Less often where it has many to tell of. */
const askEveryMs = 5000;
const waitsPerAsk = 50;
/** Echo requests kept for their replies. */
const longestMemory = 64;
/** Bytes to which packets are cut. */
const snapWithFile = 2048;
const snapWithoutFile = 512;

export interface TracerOptions {
  readonly device: string;
  /** Opens the file for what is seen, once there is a tunnel to look at; the caller closes it. */
  readonly openFile: () => CaptureFile | undefined;
  /** Ends after so many packets. */
  readonly count: number | undefined;
  readonly onEvent: (event: TraceEvent) => void;
}

interface InsidePacket extends Inside {
  readonly sighting: Sighting;
  readonly source: string;
  readonly destination: string;
  readonly isEcho: boolean;
}

interface OutsideMessage extends Outside {
  readonly carrier: Carrier;
}

interface EchoRequest {
  readonly key: string;
  readonly journey: Journey;
}

export class Tracer implements Disposable {
  readonly #options: TracerOptions;
  readonly #config: InterfaceConfig;
  readonly #points: VantagePoints;
  readonly #index: number;
  readonly #mtu: number;
  readonly #pcap: CaptureFile | undefined;
  readonly #matcher = new PacketMatcher<InsidePacket, OutsideMessage>();
  readonly #requests: EchoRequest[] = [];
  readonly #begun = performance.now();
  #peers: TunnelPeers = new TunnelPeers({ name: "", publicKey: undefined, listenPort: 0, mark: 0, peers: [] });
  #number = 0;
  #shown = 0;
  #passedOver = 0;
  /** Since the look began. */
  #messages = 0;
  #matched = 0;

  /** Begins to look. Throws `VpnError` where there is no such interface, no tunnel behind it, or no permission. */
  static async open(options: TracerOptions): Promise<Tracer> {
    const description = await describeTunnel(options.device);
    using undo = new DisposableStack();
    const tracer = undo.use(new Tracer(options));
    tracer.#learn(description);
    undo.move();
    return tracer;
  }

  private constructor(options: TracerOptions) {
    this.#options = options;
    const { device } = options;
    this.#config = InterfaceConfig.open();
    const link = this.#config.links.find(device);
    if (link === undefined) throw missing(this.#config, device);
    this.#index = link.index;
    this.#mtu = link.mtu;
    const pcap = options.openFile();
    this.#pcap = pcap;
    const snap = pcap === undefined ? snapWithoutFile : snapWithFile;
    const onOpen = (point: VantagePoint) => pcap?.addPoint(point, snap);
    this.#points = new VantagePoints(this.#config, { device: link, snap, onOpen });
  }

  /** Looks until `signal` fires or enough was seen. Throws `not-available` when the interface goes away. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#watch(signal);
    } catch (error) {
      this.#requireInterface(); // whatever failed, that it has gone says more
      throw error;
    }
  }

  /** Shows what still waits for its message, and sums up; after `run`, however that ended. */
  finish(): TraceSummary {
    const rest = this.#wanted > 0 ? this.#matcher.finish() : [];
    // Once the interface has gone, what the kernel says of routes is no longer true of these packets.
    const shown = this.#isThere ? rest.splice(0, Math.min(shownPerLook, this.#wanted)) : [];
    this.#passedOver += rest.length;
    for (const match of shown) this.#show(match);
    return this.#summary();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let waitMs = lookEveryMs;
    let nextAsk = performance.now() + askEveryMs;
    while (!signal.aborted && this.#wanted > 0) {
      await pause(waitMs, signal);
      waitMs = this.#look() >= busyFrom ? lookWhenBusyMs : lookEveryMs;
      this.#requireInterface();
      const now = performance.now();
      if (now < nextAsk) continue;
      this.#learn(await describeTunnel(this.#options.device));
      nextAsk = performance.now() + Math.max(askEveryMs, waitsPerAsk * (performance.now() - now));
    }
  }

  [Symbol.dispose](): void {
    this.#points[Symbol.dispose]();
    this.#config[Symbol.dispose]();
  }

  /** How many packets more are to be shown. */
  get #wanted(): number {
    return (this.#options.count ?? Number.POSITIVE_INFINITY) - this.#shown;
  }

  #learn(description: TunnelDescription): void {
    this.#peers = new TunnelPeers(description);
    const { endpoints, awaited } = this.#peers;
    this.#points.watch({ endpoints, awaited, port: description.listenPort, mark: description.mark });
  }

  #requireInterface(): void {
    if (this.#isThere) return;
    throw new VpnError("not-available", `${this.#options.device} has gone`);
  }

  /** By its number: another may have its name. */
  get #isThere(): boolean {
    return this.#config.links.find(this.#index) !== undefined;
  }

  /** Returns how many packets it found. */
  #look(): number {
    const seen = this.#points.look();
    this.#pcap?.add(seen);
    this.#messages = 0;
    for (const { point, packet } of seen) {
      if (point.side === "inside") this.#noteInside(point, packet);
      else this.#noteOutside(point, packet);
    }
    const matches = this.#matcher.settle(Date.now());
    matches.sort((a, b) => Number(b.inside.isEcho) - Number(a.inside.isEcho));
    for (const match of matches.splice(0, Math.min(shownPerLook, this.#wanted))) this.#show(match);
    this.#passedOver += matches.length;
    return seen.length;
  }

  #noteInside({ device }: VantagePoint, packet: CapturedPacket): void {
    const summary = summarisePacket(packet.bytes);
    if (summary === undefined) return;
    const { source, destination } = summary;
    const direction = packet.outgoing ? "out" : "in";
    const sighting = sightingOf(device, packet);
    const inside: InsidePacket = {
      direction,
      at: sighting.at,
      length: sighting.length,
      endpoint: this.#peers.endpointOf(direction === "out" ? destination : source),
      sighting,
      source,
      destination,
      isEcho: echoKind(summary) !== undefined,
    };
    this.#matcher.addInside(inside);
  }

  #noteOutside({ device }: VantagePoint, packet: CapturedPacket): void {
    const sighting = sightingOf(device, packet);
    const datagram = readOuterDatagram(sighting.bytes, sighting.length);
    if (datagram === undefined) return;
    const { source, destination, headerBytes, messages } = datagram;
    const direction = packet.outgoing ? "out" : "in";
    for (const message of messages) {
      const carrier = { sighting, source, destination, headerBytes, message, sharedBy: messages.length };
      if (message.kind === "data") {
        const endpoint = direction === "out" ? destination : source;
        this.#matcher.addOutside({ direction, at: sighting.at, length: message.length, endpoint, carrier });
      } else if (this.#messages++ < messagesPerLook) {
        this.#options.onEvent({ kind: "message", number: ++this.#number, direction, carrier });
      } else this.#passedOver++;
    }
  }

  #show({ inside, outside, candidates }: Match<InsidePacket, OutsideMessage>): void {
    const { direction, sighting, source, destination } = inside;
    const fields = dissect(sighting.bytes);
    const journey: Journey = {
      kind: "packet",
      number: ++this.#number,
      direction,
      title: describePacket(sighting.bytes),
      inside: sighting,
      fields,
      route: this.#routeOf(inside),
      peer: this.#peers.choose(direction === "out" ? destination : source),
      carrier: outside?.carrier,
      candidates,
      isSuperPacket: sighting.length > this.#mtu,
      answers: this.#answers(sighting, fields),
    };
    this.#shown++;
    if (outside !== undefined) this.#matched++;
    this.#remember(journey);
    this.#options.onEvent(journey);
  }

  /** The kernel's choice: of this machine for what it sends, for what came in by the tunnel as such. */
  #routeOf({ direction, source, destination }: InsidePacket): RouteDecision | undefined {
    const { routes, links } = this.#config;
    const target = IpAddress.parse(destination);
    const choice =
      direction === "out"
        ? routes.lookup(target)
        : { route: routes.lookupIncoming(target, IpAddress.parse(source), this.#index), source: undefined };
    const route = choice?.route;
    if (route === undefined) return undefined;
    return {
      destination,
      matches: route.destination.toString(),
      prefix: route.destination.prefix,
      kind: route.kind ?? "unicast",
      device: route.device === undefined ? null : (links.find(route.device)?.name ?? null),
      via: route.via?.toString() ?? null,
      source: choice?.source?.toString() ?? null,
    };
  }

  #remember(journey: Journey): void {
    const key = echoKey(journey.inside.bytes, "request");
    if (key === undefined) return;
    this.#requests.push({ key, journey });
    if (this.#requests.length > longestMemory) this.#requests.shift();
  }

  #answers({ bytes, at }: Sighting, fields: Journey["fields"]): Journey["answers"] {
    const key = echoKey(bytes, "reply");
    const request = key === undefined ? undefined : this.#requests.find((candidate) => candidate.key === key)?.journey;
    if (request === undefined) return undefined;
    return {
      number: request.number,
      afterMs: at - request.inside.at,
      changes: comparePackets(request.fields, fields),
    };
  }

  #summary(): TraceSummary {
    return {
      kind: "end",
      seconds: (performance.now() - this.#begun) / 1000,
      points: this.#points
        .statistics()
        .map(({ side, device, taken, dropped }) => ({ side, device, seen: taken, dropped })),
      shown: this.#shown,
      passedOver: this.#passedOver,
      matched: this.#matched,
      pcap: this.#pcap?.written,
    };
  }
}

function missing(config: InterfaceConfig, device: string): VpnError {
  config[Symbol.dispose]();
  return new VpnError("not-available", `there is no interface ${device} in this network namespace`, {
    remedy: "enter the one it is in, with `nsenter`",
  });
}

function sightingOf(device: string, packet: CapturedPacket): Sighting {
  const { bytes } = packet;
  return { device, at: millisecondsOf(packet), bytes, length: captureLength(bytes) };
}

/** The same for a request and its reply: who asked whom, the identifier and the number. */
function echoKey(packet: Uint8Array, kind: "request" | "reply"): string | undefined {
  const summary = summarisePacket(packet);
  if (summary === undefined || echoKind(summary) !== kind) return undefined;
  const [asker, asked] =
    kind === "request" ? [summary.source, summary.destination] : [summary.destination, summary.source];
  return `${asker} ${asked} ${summary.body.subarray(4, 8).join(".")}`;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    }
  });
}
