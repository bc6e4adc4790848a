/**
 * The ways to those peers that have more than one, or one that is not UDP's: opens and closes what they need on this
 * machine, looks at how they fare, and does what `path-choice.ts` decides. The packet path sees none of it: a stream is a
 * place on loopback that it sends to.
 */
import { Endpoint } from "../base/address.ts";
import type { PublicKey } from "../base/keys.ts";
import { bootTime } from "../os/clock.ts";
import { defaultLimits } from "../transport/datagram-link.ts";
import type { Handovers } from "../transport/handovers.ts";
import { dial } from "../transport/stream-dialer.ts";
import type { StreamFlowEvent } from "../transport/stream-flow.ts";
import { StreamPath } from "../transport/stream-path.ts";
import { readSmallFile } from "../transport/tls-identity.ts";
import type { TransportUrl } from "../transport/transport-url.ts";
import type { EndpointHold } from "../wireguard/endpoint-hold.ts";
import { type HostLookup, isAddress, lookUpEndpoint } from "./endpoint-lookup.ts";
import { PathChoice } from "./path-choice.ts";
import type { PathControl } from "./path-control.ts";
import type { PeerPathsReport, TunnelPaths } from "./path-report.ts";
import { PathStanding } from "./path-standing.ts";
import type { EndpointName, Trust, Way } from "./peer-section.ts";
import type { Tunnel } from "./tunnel.ts";

export interface PathKeeperOptions {
  readonly handovers: Handovers;
  /** Whose peers they are; undefined before it is open. */
  readonly tunnel: () => (Pick<Tunnel, "port" | "mark"> & Partial<Pick<Tunnel, "pathControl">>) | undefined;
  /** Who knows the addresses of peers, past the tunnel. */
  readonly hosts: () => HostLookup;
  /** Told in a line what happens to a way. */
  readonly log: (line: string) => void;
}

/** A peer with its ways, as configured. */
export interface PathPeer {
  readonly publicKey: PublicKey;
  readonly ways?: readonly Way[];
  readonly trust?: Trust;
}

/** How often the ways are looked at, and how often where something is under way. */
const lookEveryMs = 250;
const lookBusyMs = 50;
/** A name is asked for again with a probe, but not more often. */
const lookUpAgainMs = 15_000;

interface Kept {
  readonly key: string;
  readonly configured: string;
  readonly paths: readonly Path[];
  readonly first: Endpoint;
  readonly publicKey: PublicKey;
  readonly choice: PathChoice;
  /** Whether the packet path knows who may move its endpoint. */
  isHeld: boolean;
}

/** A way as it is open. `outer` is where its datagrams go outside, as far as that is known. */
type Path =
  | {
      readonly kind: "udp";
      readonly name: string;
      readonly host: EndpointName;
      place: Endpoint;
      lookedUpAt: number;
      readonly outer: readonly Endpoint[];
    }
  | {
      readonly kind: "stream";
      readonly name: string;
      readonly stream: StreamPath;
      readonly outer: readonly Endpoint[];
    };

/** Where the peers of a configuration are to be reached, by public key. */
export interface PathPlan {
  /** Where to begin, undefined for a peer that needs no keeper. */
  first(key: PublicKey): Endpoint | undefined;
  /** Everywhere that its datagrams may go outside. */
  outer(key: PublicKey): readonly Endpoint[];
  /** From now on these are the ways; those that are not among them are closed. */
  adopt(): void;
  /** Closes what was opened for it. */
  discard(): void;
}

/** Whether a peer needs a keeper: plain UDP does not. */
export function hasPaths({ ways = [] }: PathPeer): boolean {
  return ways.length > 1 || ways.some(({ kind }) => kind === "stream");
}

export class PathKeeper implements TunnelPaths, Disposable {
  readonly handovers: Handovers;
  readonly #options: PathKeeperOptions;
  #peers: ReadonlyMap<string, Kept> = new Map();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PathKeeperOptions) {
    this.#options = options;
    this.handovers = options.handovers;
  }

  /** Opens the ways of these peers, beside those that are open. Throws where a peer has none that leads anywhere. */
  async plan(peers: readonly PathPeer[]): Promise<PathPlan> {
    const next = new Map<string, Kept>();
    const isNew = (kept: Kept) => this.#peers.get(kept.key) !== kept;
    const discard = () => {
      for (const kept of next.values()) if (isNew(kept)) close(kept);
    };
    try {
      for (const peer of peers.filter(hasPaths)) {
        const key = peer.publicKey.toString();
        next.set(key, await this.#keep(key, peer));
      }
    } catch (error) {
      discard();
      throw error;
    }
    return {
      first: (key) => next.get(key.toString())?.first,
      outer: (key) => next.get(key.toString())?.paths.flatMap((path) => path.outer) ?? [],
      adopt: () => {
        for (const [key, kept] of this.#peers) {
          if (next.get(key) === kept) continue;
          this.#leave(kept, next.get(key));
          close(kept);
        }
        this.#peers = next;
      },
      discard,
    };
  }

  /** Begins to choose among the ways; to be called once the tunnel is open. */
  begin(): void {
    this.#look();
  }

  /** Told by the tunnel. */
  answered(key: PublicKey, endpoint: Endpoint, roundTripMs: number): void {
    const kept = this.#peers.get(key.toString());
    const path = kept?.paths.findIndex((each) => placeOf(each).equals(endpoint)) ?? -1;
    if (kept === undefined || path < 0) return;
    kept.choice.answered(bootTime(), path, roundTripMs);
    this.#act(kept);
  }

  /** Told to whoever asks the tunnel for its status. */
  report(): Record<string, PeerPathsReport> {
    const now = bootTime();
    const reports = [...this.#peers].map(([key, { paths, choice }]) => {
      const ways = paths.map((path, i) => {
        const { roundTripMs, lossShare, bytesPerSecond } = choice.standings[i];
        const name = path.kind === "udp" ? `udp://${path.place}` : String(path.stream.place);
        return { name, isUsed: i === choice.active, isReady: isReady(path), roundTripMs, lossShare, bytesPerSecond };
      });
      return [key, { ways, decisions: choice.decisions.map(({ at, text }) => ({ agoMs: now - at, text })) }] as const;
    });
    return Object.fromEntries(reports);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const kept of this.#peers.values()) close(kept);
    this.#peers = new Map();
  }

  #look(): void {
    let isBusy = false;
    for (const kept of this.#peers.values()) {
      const sight = this.#control?.sight(kept.publicKey);
      if (sight === undefined) continue;
      if (!kept.isHeld) this.#control?.hold(kept.publicKey, holdOf(kept.paths[kept.choice.active]));
      kept.isHeld = true;
      kept.choice.observe(bootTime(), { ...sight, ready: kept.paths.map(isReady) });
      this.#act(kept);
      isBusy ||= kept.choice.isBusy;
    }
    this.#timer = setTimeout(() => this.#look(), isBusy ? lookBusyMs : lookEveryMs).unref();
  }

  get #control(): PathControl | undefined {
    return this.#options.tunnel()?.pathControl;
  }

  #act(kept: Kept): void {
    const { publicKey, paths, choice } = kept;
    for (const action of choice.drain()) {
      switch (action.kind) {
        case "tell":
          this.#options.log(`peer ${publicKey.short}: ${action.text}`);
          break;
        case "recall":
          this.#control?.recall(publicKey);
          break;
        case "connect": {
          const path = paths[action.path];
          if (path.kind === "stream") path.stream.connect();
          break;
        }
        case "probe": {
          const path = paths[action.path];
          this.#control?.probe(publicKey, placeOf(path));
          if (path.kind === "udp") void this.#lookUpAgain(kept, path);
          break;
        }
        case "move":
          this.#control?.choose(publicKey, placeOf(paths[action.path]), holdOf(paths[action.path]));
      }
    }
  }

  /** A host behind a name may have moved; it is where it was if nobody knows. */
  async #lookUpAgain(kept: Kept, path: Path & { kind: "udp" }): Promise<void> {
    const now = bootTime();
    if (isAddress(path.host.host) || now - path.lookedUpAt < lookUpAgainMs) return;
    path.lookedUpAt = now;
    const found = await lookUpEndpoint(path.host, this.#options.hosts()).catch(() => path.place);
    if (found.equals(path.place) || this.#peers.get(kept.key) !== kept) return;
    path.place = found;
    this.#options.log(`peer ${kept.publicKey.short}: ${path.name} is now ${found}`);
    if (kept.paths[kept.choice.active] === path) this.#control?.choose(kept.publicKey, found, holdOf(path));
  }

  /** Whose streams are about to be closed is reached elsewhere from now on. */
  #leave({ publicKey, first }: Kept, next: Kept | undefined): void {
    const control = this.#control;
    if (control === undefined) return;
    if (next === undefined) control.hold(publicKey, "none");
    if (control.endpoint(publicKey)?.carriage === undefined) return;
    const place = next?.first ?? first;
    if (next !== undefined || place.carriage === undefined) control.choose(publicKey, place, "none");
  }

  async #keep(key: string, peer: PathPeer): Promise<Kept> {
    const configured = JSON.stringify([peer.ways?.map(wayText), peer.trust]);
    const present = this.#peers.get(key);
    if (present?.configured === configured) return present;
    const paths = await this.#open(peer);
    const choice = new PathChoice(paths.map(({ name }) => new PathStanding(name)));
    const { publicKey } = peer;
    return { key, configured, paths, first: placeOf(paths[0]), publicKey, choice, isHeld: false };
  }

  async #open(peer: PathPeer): Promise<Path[]> {
    using undo = new DisposableStack();
    const paths: Path[] = [];
    let failure: unknown;
    for (const way of peer.ways ?? []) {
      if (way.kind === "stream") {
        const stream = undo.use(await this.#openStream(peer, way.url));
        paths.push({ kind: "stream", name: String(way.url), stream, outer: await this.#outerOf(way.url) });
        continue;
      }
      try {
        const place = await lookUpEndpoint(way.endpoint, this.#options.hosts());
        const found = { place, lookedUpAt: bootTime(), outer: [place] };
        paths.push({ kind: "udp", name: `udp://${wayText(way)}`, host: way.endpoint, ...found });
      } catch (error) {
        failure = error;
      }
    }
    if (paths.length === 0) throw failure;
    undo.move();
    return paths;
  }

  /** A name that is not known now may be later: each connection looks it up. */
  async #outerOf({ host, address, port }: TransportUrl): Promise<Endpoint[]> {
    if (address !== undefined) return [new Endpoint(address, port)];
    const found = await this.#options
      .hosts()
      .lookUp(host)
      .catch(() => []);
    return found.map((each) => new Endpoint(each, port));
  }

  #openStream({ publicKey, trust = {} }: PathPeer, url: TransportUrl): Promise<StreamPath> {
    const { handovers, tunnel, hosts, log } = this.#options;
    const ca = trust.authority === undefined || trust.authority === "any" ? undefined : readSmallFile(trust.authority);
    return StreamPath.open({
      name: String(url),
      tunnelPort: () => tunnel()?.port ?? 0,
      handovers,
      dial: (signal) =>
        dial(
          {
            url,
            mark: tunnel()?.mark ?? 0,
            limits: defaultLimits,
            ca,
            serverName: trust.name,
            acceptAnyCertificate: trust.authority === "any",
            lookUp: (host) => hosts().lookUp(host),
          },
          signal,
        ),
      onEvent: (event) => log(`peer ${publicKey.short}: ${describe(url, event)}`),
    });
  }
}

/** What comes by the network may move a peer that is reached by it; a stream's choice stands. */
function holdOf({ kind }: Path): EndpointHold {
  return kind === "udp" ? "network" : "all";
}

/** UDP needs no preparation. */
function isReady(path: Path): boolean {
  return path.kind === "udp" || path.stream.state === "open";
}

function placeOf(path: Path): Endpoint {
  return path.kind === "udp" ? path.place : path.stream.place;
}

function close({ paths }: Kept): void {
  for (const path of paths) if (path.kind === "stream") path.stream[Symbol.dispose]();
}

/** A way as it is written in a file; its path may be a secret. */
export function wayText(way: Way): string {
  if (way.kind === "stream") return way.url.reveal();
  const { host, port } = way.endpoint;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function describe(url: TransportUrl, event: StreamFlowEvent): string {
  switch (event.kind) {
    case "connected":
      return `connected to ${url} at ${event.remote}`;
    case "closed":
      return `the connection to ${url} has ended (${event.reason})`;
    case "retrying":
      return `${event.cause}; trying again in ${(event.inMs / 1000).toFixed(1)} s`;
  }
}
