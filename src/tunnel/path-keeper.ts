/**
 * The ways to those peers that have more than one, or one that is not UDP's: opens and closes what they need on this
 * machine. The packet path sees none of it: a stream is a place on loopback that it sends to.
 */
import { Endpoint } from "../base/address.ts";
import type { PublicKey } from "../base/keys.ts";
import { defaultLimits } from "../transport/datagram-link.ts";
import type { Handovers } from "../transport/handovers.ts";
import { dial } from "../transport/stream-dialer.ts";
import type { StreamFlowEvent } from "../transport/stream-flow.ts";
import { StreamPath } from "../transport/stream-path.ts";
import { readSmallFile } from "../transport/tls-identity.ts";
import type { TransportUrl } from "../transport/transport-url.ts";
import { type HostLookup, lookUpEndpoint } from "./endpoint-lookup.ts";
import type { Trust, Way } from "./peer-section.ts";
import type { Tunnel } from "./tunnel.ts";

export interface PathKeeperOptions {
  readonly handovers: Handovers;
  /** Whose peers they are; undefined before it is open. */
  readonly tunnel: () => Pick<Tunnel, "port" | "mark"> | undefined;
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

interface Kept {
  readonly key: string;
  readonly configured: string;
  readonly paths: readonly Path[];
  readonly first: Endpoint;
}

/** A way as it is open. `outer` is where its datagrams go outside, as far as that is known. */
type Path =
  | { readonly kind: "udp"; readonly name: string; readonly place: Endpoint; readonly outer: readonly Endpoint[] }
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

export class PathKeeper implements Disposable {
  readonly #options: PathKeeperOptions;
  #peers: ReadonlyMap<string, Kept> = new Map();

  constructor(options: PathKeeperOptions) {
    this.#options = options;
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
        for (const [key, kept] of this.#peers) if (next.get(key) !== kept) close(kept);
        this.#peers = next;
      },
      discard,
    };
  }

  [Symbol.dispose](): void {
    for (const kept of this.#peers.values()) close(kept);
    this.#peers = new Map();
  }

  async #keep(key: string, peer: PathPeer): Promise<Kept> {
    const configured = JSON.stringify([peer.ways?.map(wayText), peer.trust]);
    const present = this.#peers.get(key);
    if (present?.configured === configured) return present;
    const paths = await this.#open(peer);
    return { key, configured, paths, first: placeOf(paths[0]) };
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
        paths.push({ kind: "udp", name: wayText(way), place, outer: [place] });
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
