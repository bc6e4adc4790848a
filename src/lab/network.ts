/** The hosts of `topology.ts`, made and cabled. All of it is held by descriptors of this process and ends with it. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { Cidr, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { gatewayTable, InstalledTable } from "../os/nftables.ts";
import { Host } from "./host.ts";
import { type HostName, homePrefixes, type LinkPlan, type Topology } from "./topology.ts";

const patienceMs = 10_000;

export class Network implements Disposable {
  readonly #hosts = new Map<HostName, Host>();
  readonly #stack = new DisposableStack();

  constructor(topology: Topology) {
    try {
      for (const plan of topology.hosts) this.#hosts.set(plan.name, this.#stack.use(new Host(plan)));
      for (const link of topology.links) this.#cable(link);
      for (const { host, device } of topology.links.flat()) {
        this.host(host).config.settle(this.host(host).device(device), patienceMs);
      }
      for (const plan of topology.hosts) this.#addGateways(plan.name, plan.gateways);
      const home = this.#hosts.get("home");
      if (home !== undefined) this.#hideInside(home);
    } catch (error) {
      this.#stack.dispose();
      throw error;
    }
  }

  host(name: HostName): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new VpnError("invalid-argument", `the lab has no host ${name}`);
    return host;
  }

  /** The processes that run on a host, each by its number and command. */
  inhabitants(): string[] {
    const own = new Set([...this.#hosts.values()].map(({ namespace }) => namespace.toString()));
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && own.has(attempt(() => readlinkSync(`/proc/${name}/ns/net`))))
      .map((name) => `${name} (${attempt(() => readFileSync(`/proc/${name}/comm`, "utf8")).trim()})`);
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  #hideInside(home: Host): void {
    const table = gatewayTable("home-router", "lan", homePrefixes.map(Cidr.parse));
    this.#stack.use(home.namespace.run(() => InstalledTable.install(table)));
  }

  #cable([near, far]: LinkPlan): void {
    const peerNamespace = this.host(far.host).namespace.fd;
    this.host(near.host).config.links.createVeth({ name: near.device, peerName: far.device, peerNamespace });
    for (const { host: name, device, addresses } of [near, far]) {
      const host = this.host(name);
      const index = host.device(device);
      host.config.links.set(index, { up: true });
      for (const address of addresses) host.config.addresses.add(index, Cidr.parse(address));
    }
  }

  #addGateways(name: HostName, gateways: readonly string[]): void {
    for (const gateway of gateways) {
      const destination = Cidr.parse(gateway.includes(":") ? "::/0" : "0.0.0.0/0");
      this.host(name).config.routes.add({ destination, via: IpAddress.parse(gateway) });
    }
  }
}

/** What a process's files say; empty where it is gone, or another user's. */
function attempt(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
