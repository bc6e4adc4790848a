/**
 * The host around a tunnel's interface: MTU, addresses, routes, policy rules, resolvers, forwarding and the kill switch.
 * It is brought from one setting to another, the first time from nothing, so that a changed configuration takes the same
 * way as a new one. What does not go with the interface is written into the tunnel's journal before it is done.
 */
import type { Cidr } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import type { InstalledTable } from "../os/nftables.ts";
import type { Deed } from "./deed.ts";
import { addDefaultRoute, guardAddresses, guardTable, isOfDefaultRoute } from "./default-route.ts";
import { Forwarding } from "./forwarding.ts";
import { promoteSecondaries, withoutLinkLocal } from "./interface-setup.ts";
import { Journal } from "./journal.ts";
import { KillSwitch } from "./kill-switch.ts";
import { tunnelMtu } from "./path-mtu.ts";
import type { ResolverSetting } from "./resolver-program.ts";
import { isOfResolvers, setResolvers } from "./resolver-setup.ts";
import type { TunnelOptions, TunnelPeerOptions } from "./tunnel.ts";
import { planRoutes, type RoutePlan, type RouteTarget } from "./tunnel-routes.ts";

export interface HostSettings {
  /** From the route to the endpoints where left out. */
  readonly mtu?: number | undefined;
  readonly addresses?: readonly Cidr[];
  /** The tunnel's: their allowed IPs may get routes, their endpoints may not lie behind those. */
  readonly peers?: readonly Pick<TunnelPeerOptions, "allowedIps" | "endpoint">[];
  /** Where the allowed IPs' routes go; nowhere where left out. */
  readonly routes?: RouteTarget;
  /** The tunnel's firewall mark. Default routes and the kill switch need one. */
  readonly mark?: number | undefined;
  readonly names?: ResolverSetting;
  /** Whether the tunnel's own traffic is TCP, too. */
  readonly hasStreams?: boolean;
  /** Forward what peers send, hidden behind this machine's own addresses. */
  readonly forward?: boolean;
  /** Let nothing leave but through the tunnel, and to the local network if so chosen. Left out: one that is there stays. */
  readonly killSwitch?: { readonly lan: boolean } | undefined;
}

export interface HostSetupOptions extends HostSettings {
  /** The tunnel's; where left out, one is opened if there is something to write. */
  readonly journal?: Journal | undefined;
}

/** The `setUp` of a tunnel whose settings do not change. */
export function hostSetup(options: HostSetupOptions): NonNullable<TunnelOptions["setUp"]> {
  return (link) => HostSetup.apply(link, options);
}

export class HostSetup implements Disposable {
  readonly #index: number;
  readonly #name: string;
  readonly #resources: DisposableStack;
  readonly #config: InterfaceConfig;
  #journal: Journal | undefined;
  #current: Required<Pick<HostSettings, "addresses" | "names">> & HostSettings = nothing;
  #plan: RoutePlan = planRoutes({ kind: "off" }, [], []);
  #guard: InstalledTable | undefined;
  #forwarding: Forwarding | undefined;

  /** Sets the host up in this thread's network namespace. Throws `VpnError`s that name the item, with all undone. */
  static apply(link: { readonly index: number; readonly name: string }, options: HostSetupOptions): HostSetup {
    const setup = new HostSetup(link.index, link.name, options.journal);
    try {
      setup.#converge(options, true);
      return setup;
    } catch (error) {
      try {
        setup[Symbol.dispose]();
      } catch {} // stays in the journal; what went wrong first is what the operator needs to know
      throw error;
    }
  }

  private constructor(index: number, name: string, journal: Journal | undefined) {
    using resources = new DisposableStack();
    this.#index = index;
    this.#name = name;
    this.#config = resources.use(InterfaceConfig.open());
    this.#journal = journal;
    if (journal === undefined) resources.defer(() => this.#journal?.[Symbol.dispose]());
    // Written last, undone first. The kill switch is the journal's owner's to open: it may have to outlast the tunnel.
    const since = journal?.position ?? 0;
    const isOurs = (deed: Deed) => journal === undefined || deed.kind !== "kill-switch";
    resources.defer(() => throwAll(this.#journal?.undo(since, isOurs) ?? []));
    resources.defer(() => this.#guard?.[Symbol.dispose]());
    resources.defer(() => this.#forwarding?.[Symbol.dispose]());
    this.#resources = resources.move();
  }

  /** Goes over to other settings, or stays with the present ones: then throws what was in the way. */
  change(next: HostSettings): void {
    const former = this.#current;
    try {
      this.#converge(next, false);
    } catch (error) {
      this.#converge(former, false);
      throw error;
    }
  }

  /** Undoes it, but for what goes with the interface, and for a kill switch in a journal that was given. */
  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** What is wanted is noted first, so that the way back knows of all that may have been done. */
  #converge(settings: HostSettings, isFirst: boolean): void {
    const former = { ...this.#current, plan: this.#plan };
    const next = { ...nothing, ...settings };
    const { addresses, peers = [], mark = 0 } = next;
    const allowedIps = peers.flatMap((peer) => peer.allowedIps);
    const plan = planRoutes(next.routes ?? { kind: "off" }, allowedIps, addresses);
    this.#refuseTaken(addresses);
    const endpoints = peers.flatMap(({ endpoint }) => endpoint?.address ?? []);
    const mtu = next.mtu ?? (isFirst ? tunnelMtu(this.#config, endpoints, addresses) : former.mtu);
    this.#plan = plan;
    this.#current = { ...next, mtu };
    if (next.killSwitch !== undefined) this.#shut(next, allowedIps);
    if (mtu !== undefined && mtu !== former.mtu) this.#config.links.set(this.#index, { mtu });
    if (isFirst) {
      withoutLinkLocal(this.#name);
      promoteSecondaries(this.#name);
    }
    this.#setAddresses(former.addresses, addresses);
    if (isFirst) this.#config.links.set(this.#index, { up: true });
    this.#config.settle(this.#index);
    if (JSON.stringify(next.names) !== JSON.stringify(former.names)) this.#setNames(next.names);
    this.#setRoutes(former.plan, plan, isFirst);
    this.#setDefaults(former, { mark, addresses, plan, hasStreams: next.hasStreams === true });
    for (const endpoint of endpoints) {
      if (this.#config.routes.lookup(endpoint, mark)?.route.device === this.#index) throw leadsInside(String(endpoint));
    }
    this.#setForwarding(next.forward === true, former.addresses, addresses);
  }

  #notes(): Journal {
    this.#journal ??= Journal.open(this.#name);
    return this.#journal;
  }

  /** The kernel would take it, and answer for it on either interface. */
  #refuseTaken(addresses: readonly Cidr[]): void {
    const others = this.#config.addresses.list().filter(({ device }) => device !== this.#index);
    for (const wanted of addresses) {
      const holder = others.find(({ address }) => address.address.equals(wanted.address));
      if (holder === undefined) continue;
      const name = this.#config.links.find(holder.device)?.name ?? `interface ${holder.device}`;
      throw new VpnError("not-available", `the address ${wanted.address} is already on ${name}`, {
        remedy: "take it away there, or give the tunnel another",
      });
    }
  }

  #shut({ addresses, names, mark = 0, killSwitch }: HostSettings, allowedIps: readonly Cidr[]): void {
    const notes = this.#notes();
    const lan = killSwitch?.lan === true;
    const options = {
      mark,
      lan,
      inside: [...(addresses ?? []), ...allowedIps],
      hasResolvers: names !== undefined && names.resolvers.length > 0,
    };
    const install = () => KillSwitch.install(this.#name, options);
    const noted = notes.deeds.findLast((deed) => deed.kind === "kill-switch");
    if (noted?.lan === lan) install();
    else notes.record({ kind: "kill-switch", lan }, install);
  }

  #setAddresses(former: readonly Cidr[], wanted: readonly Cidr[]): void {
    this.#addAddresses(wanted); // first: with the last address go all routes
    const gone = without(former, wanted);
    for (const address of gone) this.#config.addresses.remove(this.#index, address);
    // With a primary address of IPv4 the kernel removes the others of its subnet, unless told to promote them.
    if (gone.length > 0) this.#addAddresses(wanted);
  }

  #addAddresses(wanted: readonly Cidr[]): void {
    const present = this.#config.addresses.list(this.#index).map(({ address }) => address);
    for (const missing of without(wanted, present)) this.#config.addresses.add(this.#index, missing);
  }

  #setNames(names: ResolverSetting): void {
    throwAll(this.#journal?.undo(0, isOfResolvers) ?? []);
    if (names.resolvers.length > 0) setResolvers(this.#notes(), this.#name, names);
  }

  #setRoutes(former: RoutePlan, { table, destinations }: RoutePlan, isFirst: boolean): void {
    const device = this.#index;
    const gone = former.table === table ? without(former.destinations, destinations) : former.destinations;
    for (const destination of gone) this.#config.routes.remove({ destination, device, table: former.table });
    const all = isFirst ? [] : this.#config.routes.list({ table }).filter((route) => route.device === device);
    const missing = without(
      destinations,
      all.map((route) => route.destination),
    );
    for (const destination of missing) this.#config.routes.add({ destination, device, table });
  }

  #setDefaults(
    former: Pick<HostSettings, "mark" | "addresses" | "hasStreams"> & { readonly plan: RoutePlan },
    wanted: Defaults,
  ): void {
    const { mark, addresses, plan, hasStreams } = wanted;
    const to = { index: this.#index, name: this.#name, mark, addresses, hasStreams };
    const { mark: formerMark = 0 } = former;
    const isSameWay = JSON.stringify([plan.defaults, mark]) === JSON.stringify([former.plan.defaults, formerMark]);
    if (isSameWay && this.#isLedInside(plan, mark)) {
      // Nothing may go past the tunnel meanwhile, so the rules and the route stay where they are.
      const isSameGuard = hasStreams === (former.hasStreams === true);
      if (!isSameGuard || JSON.stringify(addresses) !== JSON.stringify(former.addresses)) {
        this.#guard?.replace(guardTable(plan.defaults, to));
      }
      return;
    }
    this.#guard?.[Symbol.dispose]();
    this.#guard = undefined;
    throwAll(this.#journal?.undo(0, (deed) => isOfDefaultRoute(deed, this.#name)) ?? []);
    const stale = former.plan.defaults.length === 0 ? [] : this.#config.routes.list({ table: formerMark });
    for (const route of stale) if (route.device === this.#index) this.#config.routes.remove(route);
    if (plan.defaults.length === 0) return;
    for (const family of plan.defaults) addDefaultRoute(this.#notes(), this.#config, family, to);
    this.#guard = guardAddresses(this.#notes(), plan.defaults, to);
  }

  /** Whether the default routes are there: the kernel takes all routes of an interface away with its last address. */
  #isLedInside({ defaults }: RoutePlan, mark: number): boolean {
    if (defaults.length === 0) return true;
    const ours = this.#config.routes.list({ table: mark }).filter((route) => route.device === this.#index);
    return defaults.every((family) => ours.some(({ destination }) => destination.family === family));
  }

  #setForwarding(isWanted: boolean, former: readonly Cidr[], addresses: readonly Cidr[]): void {
    const isSame = JSON.stringify(addresses) === JSON.stringify(former);
    if (isWanted && this.#forwarding !== undefined && isSame) return;
    this.#forwarding?.[Symbol.dispose]();
    this.#forwarding = undefined;
    if (isWanted) this.#forwarding = Forwarding.enable(this.#name, addresses, this.#notes());
  }
}

interface Defaults {
  readonly mark: number;
  readonly addresses: readonly Cidr[];
  readonly plan: RoutePlan;
  readonly hasStreams: boolean;
}

const nothing = { addresses: [], names: { resolvers: [], searchDomains: [] } } as const;

function without(from: readonly Cidr[], what: readonly Cidr[]): Cidr[] {
  const left = new Set(what.map(String));
  return from.filter((cidr) => !left.has(String(cidr)));
}

function throwAll(failures: readonly unknown[]): void {
  if (failures.length > 0) throw failures[0];
}

function leadsInside(endpoint: string): VpnError {
  return new VpnError(
    "invalid-configuration",
    `the way to the endpoint ${endpoint} would lead into the tunnel itself`,
    {
      remedy: "leave it out of AllowedIPs, or first add a route of its own to it",
    },
  );
}
