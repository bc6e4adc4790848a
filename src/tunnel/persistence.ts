/**
 * Keeps a live tunnel in touch with its peers when the world around it changes: a host behind a name moves, this machine
 * wakes, joins another network or gets another address. `persistence-state.ts` decides; this file looks and acts.
 *
 * Once a second it reads a few numbers for each peer; of routes and addresses it hears from the kernel.
 */
import type { Endpoint, IpAddress } from "../base/address.ts";
import type { PublicKey } from "../base/keys.ts";
import { bootTime } from "../os/clock.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import { watchRoutes } from "../os/route-watch.ts";
import { SystemError } from "../os/system-error.ts";
import { EndpointResolver } from "./endpoint-resolver.ts";
import { type PeerObservation, type PersistenceAction, PersistenceState, type Way } from "./persistence-state.ts";

const lookEveryMs = 1000;
/** Routes and addresses change in crowds: what follows within this is seen with the first. */
const settleMs = 300;
/** Where routes never rest, as with many containers, this is how often the ways are asked for. */
const askWaysEveryMs = 1000;
/** Asking for the way to an address takes 0.15 ms; packets wait meanwhile, so that between so many they have a turn. */
const waysAtOnce = 32;

/** What is needed of a `Tunnel`. */
export interface PersistableTunnel {
  readonly mark: number;
  /** How a peer fares; `undefined` where there is none of this key. */
  liveness(key: PublicKey): PeerObservation | undefined;
  updatePeer(key: PublicKey, change: { readonly endpoint: Endpoint }): void;
  /** Whether it was not too early. */
  shakeHands(key: PublicKey): boolean;
}

export interface PersistedPeer {
  readonly publicKey: PublicKey;
  /** The endpoint as it was configured, where that is a name and not an address. */
  readonly endpointName?: { readonly host: string; readonly port: number } | undefined;
}

export interface PersistenceOptions {
  /** Those that have an endpoint; others are reached where they came from, and have to come. */
  readonly peers: readonly PersistedPeer[];
  /** The name servers that were in force before the tunnel came up; asked for anew at each look-up. */
  readonly resolvers: () => readonly Endpoint[];
  /** Told what is done, in one line, for the log. */
  readonly log?: (line: string) => void;
  /** For tests: both clocks in milliseconds; the first goes on in a suspend and is the tunnel's, the second stops. */
  readonly clocks?: { readonly boot: () => number; readonly monotonic: () => number };
  readonly hostsFile?: string;
}

/** In the network namespace of this thread, until disposed of. Main thread only. Keeps no process alive. */
export function persist(tunnel: PersistableTunnel, options: PersistenceOptions): Disposable {
  return new Persistence(tunnel, options);
}

class Persistence implements Disposable {
  readonly #tunnel: PersistableTunnel;
  readonly #options: PersistenceOptions;
  readonly #state: PersistenceState<PublicKey>;
  readonly #resolver: EndpointResolver;
  readonly #config: InterfaceConfig;
  readonly #resources = new DisposableStack();
  readonly #clocks: { readonly boot: () => number; readonly monotonic: () => number };
  #settling: NodeJS.Timeout | undefined;
  #asking: NodeJS.Immediate | undefined;
  #askedWaysAt = 0;

  constructor(tunnel: PersistableTunnel, options: PersistenceOptions) {
    this.#tunnel = tunnel;
    this.#options = options;
    this.#clocks = options.clocks ?? { boot: bootTime, monotonic: () => performance.now() };
    this.#state = new PersistenceState(
      options.peers.map(({ publicKey, endpointName }) => ({
        key: publicKey,
        host: endpointName && { name: endpointName.host, port: endpointName.port },
      })),
    );
    const { resolvers, hostsFile } = options;
    this.#resolver = new EndpointResolver({
      resolvers,
      mark: () => tunnel.mark,
      ...(hostsFile === undefined ? {} : { hostsFile }),
    });
    using resources = new DisposableStack();
    this.#config = resources.use(InterfaceConfig.open());
    resources.use(watchRoutes(() => this.#settle()));
    const timer = setInterval(() => this.#look(), lookEveryMs).unref();
    resources.defer(() => {
      clearInterval(timer);
      clearTimeout(this.#settling);
      clearImmediate(this.#asking);
    });
    this.#resources.use(resources.move());
    this.#noteWays();
    this.#look();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** Looks at the peers, and does what is to be done. */
  #look(): void {
    const now = this.#clocks.boot();
    if (this.#state.compareClocks(now, this.#clocks.monotonic())) {
      this.#log("the machine was suspended");
      this.#noteWays();
    }
    for (const key of this.#state.keys) {
      const seen = this.#tunnel.liveness(key);
      if (seen !== undefined) this.#state.observe(now, key, seen);
    }
    for (const action of this.#state.drain()) this.#act(action);
  }

  #settle(): void {
    this.#settling ??= setTimeout(
      () => {
        this.#settling = undefined;
        if (this.#asking === undefined) this.#noteWays();
        else this.#settle();
      },
      Math.max(settleMs, this.#askedWaysAt + askWaysEveryMs - performance.now()),
    ).unref();
  }

  /** Asks for the ways to all peers, once for each address, and looks at the peers when that is done. */
  #noteWays(): void {
    this.#askedWaysAt = performance.now();
    clearImmediate(this.#asking);
    const byAddress = Map.groupBy(this.#state.keys, (key) => String(this.#tunnel.liveness(key)?.endpoint?.address));
    this.#noteNext([...byAddress.values()], 0);
  }

  #noteNext(groups: readonly (readonly PublicKey[])[], begin: number): void {
    this.#asking = undefined;
    for (const keys of groups.slice(begin, begin + waysAtOnce)) {
      const address = this.#tunnel.liveness(keys[0])?.endpoint?.address;
      if (address === undefined) continue;
      const way = this.#wayTo(address);
      for (const key of keys) this.#state.noteWay(key, way);
    }
    const next = begin + waysAtOnce;
    if (next < groups.length) this.#asking = setImmediate(() => this.#noteNext(groups, next)).unref();
    else this.#look();
  }

  #noteWay(key: PublicKey): void {
    const endpoint = this.#tunnel.liveness(key)?.endpoint;
    if (endpoint !== undefined) this.#state.noteWay(key, this.#wayTo(endpoint.address));
  }

  #wayTo(address: IpAddress): Way {
    try {
      const choice = this.#config.routes.lookup(address, this.#tunnel.mark);
      return choice && `${choice.route.device} ${choice.route.via ?? ""} ${choice.source ?? ""}`;
    } catch (error) {
      if (error instanceof SystemError) return undefined; // a route that refuses: prohibit, blackhole
      throw error;
    }
  }

  #act(action: PersistenceAction<PublicKey>): void {
    const { key } = action;
    switch (action.kind) {
      case "look-up":
        this.#log(`peer ${key.short} is silent: looking up ${action.host}`);
        void this.#lookUp(key, action.host);
        break;
      case "move":
        this.#log(`peer ${key.short} is now at ${action.endpoint}`);
        this.#tunnel.updatePeer(key, { endpoint: action.endpoint });
        this.#noteWay(key);
        // The change of endpoint has begun one where one was under way.
        if (this.#tunnel.liveness(key)?.isShakingHands !== true) this.#tunnel.shakeHands(key);
        break;
      case "shake-hands":
        this.#log(`the way to peer ${key.short} has changed: shaking hands`);
        if (!this.#tunnel.shakeHands(key)) this.#state.postponed(key);
    }
  }

  async #lookUp(key: PublicKey, host: string): Promise<void> {
    const addresses = await this.#resolver.lookUp(host);
    if (this.#resources.disposed) return;
    const seen = this.#tunnel.liveness(key);
    const isThere = (address: IpAddress) => seen !== undefined && this.#wayTo(address) !== undefined;
    this.#state.found(key, addresses.filter(isThere), seen?.endpoint);
    for (const action of this.#state.drain()) this.#act(action);
  }

  #log(line: string): void {
    this.#options.log?.(line);
  }
}
