/**
 * A tunnel as its configuration file describes it, from the first hook to the last: what `warren up` keeps, `warren
 * reload` changes and `warren down` ends. Everything done to the host is in the journal of its name; what an earlier
 * tunnel of that name left when it was killed is undone first, but for its kill switch, which is never open meanwhile.
 */
import { setImmediate } from "node:timers/promises";
import type { Endpoint } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import { routingTable } from "../os/routing-tables.ts";
import { Handovers } from "../transport/handovers.ts";
import type { ConfigFile } from "./config-file.ts";
import { takeMark } from "./default-route.ts";
import { type HostLookup, isAddress, systemLookup } from "./endpoint-lookup.ts";
import { outsideResolvers } from "./endpoint-name-servers.ts";
import { EndpointResolver } from "./endpoint-resolver.ts";
import { type HookStage, runHooks } from "./hooks.ts";
import { type HostSettings, HostSetup } from "./host-setup.ts";
import type { Hooks, TableChoice } from "./interface-section.ts";
import { Journal } from "./journal.ts";
import type { ReloadOutcome } from "./journal-content.ts";
import { hasPaths, PathKeeper } from "./path-keeper.ts";
import { changePeers } from "./peer-changes.ts";
import { locatePeers, type OuterPeers } from "./peer-location.ts";
import { persist } from "./persistence.ts";
import { saveConfig } from "./saved-config.ts";
import { StreamDoor } from "./stream-door.ts";
import { Tunnel, type TunnelOptions, type TunnelPeerOptions } from "./tunnel.ts";
import type { RouteTarget } from "./tunnel-routes.ts";

export interface ManagedTunnelOptions {
  readonly name: string;
  readonly config: ConfigFile;
  /** The configuration's path; absent where it was read from standard input. */
  readonly file?: string | undefined;
  /** Whether SIGHUP ends the process, which `warren reload` has to know. */
  readonly endsOnHangUp?: boolean;
  /** Forward what peers send, hidden behind this machine's addresses. */
  readonly forward?: boolean;
  readonly killSwitch?: { readonly lan: boolean } | undefined;
  /** See `TunnelOptions`. */
  readonly aead?: TunnelOptions["aead"];
  /** What is to run as soon as packets can pass, and before PostUp: hooks may speak to the control socket. */
  readonly serve?: (tunnel: Tunnel) => Promise<AsyncDisposable>;
  /** Told in one line what is done, or went wrong without being the end of it. */
  readonly log: (line: string) => void;
  /** Asks for an end while the tunnel comes up: the hook that runs is ended. */
  readonly signal?: AbortSignal;
}

export class ManagedTunnel {
  readonly #options: ManagedTunnelOptions;
  readonly #journal: Journal;
  #config: ConfigFile;
  #peers: readonly TunnelPeerOptions[] = [];
  readonly #handovers = new Handovers();
  readonly #paths: PathKeeper;
  #door: StreamDoor | undefined;
  #host: HostSetup | undefined;
  #tunnel: Tunnel | undefined;
  /** The peers with every endpoint that they may have outside. */
  #outer: OuterPeers = [];
  #hosts: HostLookup = systemLookup;
  /** What of the tunnel is known while it opens, and may have begun to send. */
  #opening: Pick<Tunnel, "port" | "mark"> | undefined;
  #services: AsyncDisposable | undefined;
  #persistence: Disposable | undefined;
  #reloading: Promise<void> = Promise.resolve();
  #isClosing = false;
  /** The name servers outside; those of now until the tunnel brings its own. */
  #resolvers: () => readonly Endpoint[] = () => [];

  /** Resolves when packets can pass and PostUp has run. Throws `VpnError`, with everything undone. */
  static async open(options: ManagedTunnelOptions): Promise<ManagedTunnel> {
    const journal = Journal.open(options.name, { file: options.file, endsOnHangUp: options.endsOnHangUp === true });
    const managed = new ManagedTunnel(options, journal);
    const hadKillSwitch = journal.deeds.some(({ kind }) => kind === "kill-switch");
    try {
      await managed.#open();
      return managed;
    } catch (error) {
      const failures = await managed.#undo({ saves: false, keepsKillSwitch: hadKillSwitch });
      for (const failure of failures) options.log(describe(failure));
      throw error;
    }
  }

  private constructor(options: ManagedTunnelOptions, journal: Journal) {
    this.#options = options;
    this.#config = options.config;
    this.#journal = journal;
    const { log } = options;
    this.#paths = new PathKeeper({
      handovers: this.#handovers,
      tunnel: () => this.#tunnel ?? this.#opening,
      hosts: () => this.#hosts,
      log,
    });
  }

  get tunnel(): Tunnel {
    if (this.#tunnel !== undefined) return this.#tunnel;
    throw new VpnError("invalid-argument", "the tunnel is not open");
  }

  /**
   * Goes over to a changed configuration without ending sessions; one at a time. Throws a `VpnError` that says why not;
   * then everything is as it was.
   */
  reload(config: ConfigFile): Promise<void> {
    const reloading = this.#reloading.then(() => this.#reload(config));
    this.#reloading = reloading.catch(() => undefined); // whoever asked for it hears of it
    return reloading;
  }

  /**
   * Ends it: PreDown, SaveConfig, the tunnel, what was done to the host, PostDown. Throws what could not be undone. Where
   * nobody has asked for the end the kill switch stays, which is made for that.
   */
  async close({ isWanted }: { readonly isWanted: boolean }): Promise<void> {
    this.#isClosing = true;
    await this.#reloading;
    const failures = await this.#undo({ saves: true, keepsKillSwitch: !isWanted });
    for (const failure of failures.slice(1)) this.#options.log(describe(failure));
    if (failures.length > 0) throw failures[0];
  }

  /** Tells a `warren reload` that could ask by a signal only. */
  noteReload(outcome: ReloadOutcome): void {
    this.#bestEffort(() => this.#journal.noteReload(outcome.ok ? undefined : outcome.failure));
  }

  async #reload(config: ConfigFile): Promise<void> {
    if (this.#isClosing) throw new VpnError("not-available", "it is going down");
    const { tunnel } = this;
    const former = this.#config.interface;
    const next = config.interface;
    const { peers, outer, plan } = await locatePeers(config.peers, this.#paths, this.#hosts);
    const { mark } = tunnel;
    const before = this.#hostSettings(this.#config, this.#outer, mark);
    const hooks = this.#journal.deeds.filter(({ kind }) => kind === "hooks");
    try {
      const wanted = this.#chooseMark(config);
      if (wanted !== mark) tunnel.setMark(wanted);
      await this.#door?.change(next);
      this.#host?.change(this.#hostSettings(config, outer, wanted));
      this.#changePort(former.listenPort, next.listenPort, before);
    } catch (error) {
      if (tunnel.mark !== mark) tunnel.setMark(mark);
      plan.discard();
      await this.#door?.change(former);
      throw error;
    }
    const { privateKey } = next;
    const isKept = privateKey === undefined || tunnel.privateKey?.equals(privateKey) === true;
    if (!isKept) tunnel.setPrivateKey(privateKey);
    changePeers(tunnel, peers, new Map(this.#peers.map((peer) => [peer.publicKey.toString(), peer.endpoint])));
    tunnel.clampsMss = next.clampMss;
    plan.adopt();
    this.#peers = peers;
    this.#outer = outer;
    this.#config = config;
    this.#persist();
    if (hooksOfStart(former.hooks) !== hooksOfStart(next.hooks)) {
      this.#options.log("PreUp and PostUp have changed: they run with the next `warren up`");
    }
    if (hooks.length > 0 || next.hooks.preDown.length + next.hooks.postDown.length > 0) this.#noteHooks();
  }

  /** Last of all that may be refused: the former port is not free again at once, should there be a way back to go. */
  #changePort(former: number | undefined, next: number | undefined, before: HostSettings): void {
    if (former === next) return;
    try {
      this.tunnel.setListenPort(next ?? 0);
    } catch (error) {
      this.#host?.change(before);
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { name, config, killSwitch, serve, log } = this.#options;
    const { listenPort, privateKey, hooks } = config.interface;
    for (const failure of await undoJournal(this.#journal, log, (deed) => deed.kind !== "kill-switch")) throw failure;
    const resolvers = outsideResolvers(config.interface.resolvers);
    this.#resolvers = resolvers;
    const mark = this.#chooseMark(config);
    // A kill switch that is there already lets questions pass that have the tunnel's mark, and no others.
    const isShut = this.#journal.deeds.some(({ kind }) => kind === "kill-switch");
    const past = new EndpointResolver({ resolvers, mark: () => this.#tunnel?.mark ?? mark });
    this.#hosts = isShut ? past : systemLookup;
    const { peers, outer, plan } = await locatePeers(config.peers, this.#paths, this.#hosts);
    plan.adopt();
    this.#hosts = past;
    const settings = this.#hostSettings(config, outer, mark);
    this.#noteHooks("postDown");
    await this.#runHooks("PreUp", hooks.preUp);
    this.#tunnel = await Tunnel.open({
      name,
      privateKey,
      listenPort,
      mark,
      peers,
      paths: this.#paths,
      setUp: (link, port) => {
        this.#opening = { port, mark };
        this.#host = HostSetup.apply(link, { ...settings, journal: this.#journal });
        return this.#host;
      },
      notice: (error) => log(error.line),
      aead: this.#options.aead,
    });
    this.#tunnel.clampsMss = config.interface.clampMss;
    this.#peers = peers;
    this.#outer = outer;
    this.#persist();
    this.#paths.begin();
    this.#door = new StreamDoor({ tunnel: this.#tunnel, handovers: this.#handovers, log });
    await this.#door.change(config.interface);
    this.#services = await serve?.(this.#tunnel);
    this.#noteHooks("preDown");
    await this.#runHooks("PostUp", hooks.postUp);
    await this.#requireAlive();
    this.#bestEffort(() => this.#journal.enter("up"));
    if (killSwitch === undefined && isShut) log(`the kill switch of ${name} stays: \`warren down ${name}\` opens it`);
  }

  /** A hook takes its time, in which somebody may have deleted the interface. */
  async #requireAlive(): Promise<void> {
    await setImmediate(); // what the kernel has told by now is heard
    const failure = await Promise.race([this.tunnel.failure, undefined]);
    if (failure !== undefined) throw failure;
  }

  /** Keeps in touch with those peers that have an endpoint, as they are configured now. */
  #persist(): void {
    this.#persistence?.[Symbol.dispose]();
    const peers = this.#config.peers.flatMap((peer) => {
      const { publicKey, endpoint } = peer;
      if (endpoint === undefined) return [];
      // Where there are several ways, each is looked up again by whoever keeps them.
      return [{ publicKey, endpointName: isAddress(endpoint.host) || hasPaths(peer) ? undefined : endpoint }];
    });
    this.#persistence = persist(this.tunnel, { peers, resolvers: this.#resolvers, log: this.#options.log });
  }

  /** What was done, undone as far as it can be; returns what could not. */
  async #undo(how: { readonly saves: boolean; readonly keepsKillSwitch: boolean }): Promise<unknown[]> {
    this.#bestEffort(() => this.#journal.enter("undoing"));
    const failures: unknown[] = [];
    const attempt = async (action: () => void | Promise<void>) => {
      try {
        await action();
      } catch (error) {
        failures.push(error);
      }
    };
    await attempt(() => this.#runHooks("PreDown", this.#journal.takeHooks("preDown")));
    if (how.saves) await attempt(() => this.#save());
    await attempt(() => this.#persistence?.[Symbol.dispose]());
    await attempt(async () => await this.#services?.[Symbol.asyncDispose]());
    await attempt(() => this.#door?.[Symbol.dispose]());
    await attempt(() => this.#tunnel?.close());
    await attempt(() => this.#paths[Symbol.dispose]());
    failures.push(...this.#journal.undo(0, ({ kind }) => !how.keepsKillSwitch || kind !== "kill-switch"));
    await attempt(() => this.#runHooks("PostDown", this.#journal.takeHooks("postDown")));
    const { name, log } = this.#options;
    const isShut = this.#journal.deeds.some(({ kind }) => kind === "kill-switch");
    if (isShut) log(`the kill switch of ${name} stays: \`warren down ${name}\` opens it`);
    await attempt(() => this.#journal[Symbol.dispose]());
    return failures;
  }

  /** For lines of the journal that others go by, but that nothing is undone by. */
  #bestEffort(note: () => void): void {
    try {
      note();
    } catch (error) {
      this.#options.log(describe(error));
    }
  }

  #save(): void {
    const { file, name } = this.#options;
    if (!this.#config.interface.saveConfig || file === undefined || this.#tunnel === undefined) return;
    using config = InterfaceConfig.open();
    const link = config.links.find(name);
    if (link === undefined) return; // somebody has deleted it: nothing is known of what it was
    const addresses = config.addresses.list(link.index).map(({ address }) => address);
    const { peers: configured } = this.#config;
    saveConfig(file, this.#config.interface, { tunnel: this.#tunnel, addresses, mtu: link.mtu, configured });
  }

  #chooseMark(config: ConfigFile): number {
    const { mark = 0, table } = config.interface;
    if (mark !== 0) return mark;
    const hasDefault = config.peers.some((peer) => peer.allowedIps.some((allowed) => allowed.prefix === 0));
    if (this.#killSwitch === undefined && (table.kind !== "auto" || !hasDefault)) return 0;
    const taken = this.#journal.deeds.find((deed) => deed.kind === "mark");
    if (taken !== undefined) return taken.mark;
    using host = InterfaceConfig.open();
    return takeMark(this.#journal, host);
  }

  #hostSettings(config: ConfigFile, peers: OuterPeers, mark: number): HostSettings {
    const { addresses, mtu, table, resolvers, searchDomains, listen } = config.interface;
    const { forward = false } = this.#options;
    const names = { resolvers, searchDomains };
    const hasStreams = listen.length > 0 || config.peers.some(hasPaths);
    return {
      mtu,
      hasStreams,
      addresses,
      peers,
      routes: routeTarget(table),
      mark,
      names,
      forward,
      killSwitch: this.#killSwitch,
    };
  }

  /**
   * The one asked for, else that which a killed tunnel left: not to ask for one again is not to ask that it be opened,
   * and one that let the former tunnel pass would hold this one back.
   */
  get #killSwitch(): { readonly lan: boolean } | undefined {
    const left = this.#journal.deeds.findLast((deed) => deed.kind === "kill-switch");
    return this.#options.killSwitch ?? (left && { lan: left.lan === true });
  }

  /** Writes down what is to be run at the end, should this process not be there to do it. */
  #noteHooks(...stages: readonly ("preDown" | "postDown")[]): void {
    const wanted = stages.length === 0 ? (["postDown", "preDown"] as const) : stages;
    for (const stage of wanted) {
      this.#journal.takeHooks(stage);
      const commands = this.#config.interface.hooks[stage];
      if (commands.length > 0) this.#journal.record({ kind: "hooks", stage, commands }, () => undefined);
    }
  }

  #runHooks(stage: HookStage, commands: readonly string[]): Promise<void> {
    const { name, log, signal } = this.#options;
    return runHooks(stage, commands, name, { log, signal: stage.endsWith("Up") ? signal : undefined });
  }
}

/** Undoes what a dead tunnel has left, its hooks included. Returns what could not be undone, and stays in the journal. */
export async function undoJournal(
  journal: Journal,
  log: (line: string) => void,
  which: Parameters<Journal["undo"]>[1] = () => true,
): Promise<unknown[]> {
  const failures: unknown[] = [];
  const run = async (stage: HookStage, commands: readonly string[]) => {
    try {
      await runHooks(stage, commands, journal.tunnel, { log });
    } catch (error) {
      log(describe(error)); // much of what they speak of is gone already
    }
  };
  await run("PreDown", journal.takeHooks("preDown"));
  failures.push(...journal.undo(0, which));
  await run("PostDown", journal.takeHooks("postDown"));
  return failures;
}

function routeTarget(table: TableChoice): RouteTarget {
  if (table.kind !== "table") return table;
  return { kind: "table", table: typeof table.table === "number" ? table.table : routingTable(table.table) };
}

function describe(error: unknown): string {
  return error instanceof VpnError ? error.line : String(error);
}

/** What runs once, when the tunnel comes up; for comparison. */
function hooksOfStart({ preUp, postUp }: Hooks): string {
  return JSON.stringify([preUp, postUp]);
}
