/**
 * Three hosts in a row, each a network namespace:
 *
 *     home  10.1.0.2, fd01::2 ---- 10.1.0.1, fd01::1  router  10.2.0.1, fd02::1 ---- 10.2.0.2, fd02::2  server
 *
 * The router forwards; the server has no route back to the home, so only what is translated gets an answer.
 */
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { InterfaceConfig } from "../../src/os/interface-config.ts";
import { NetworkNamespace } from "../../src/os/namespace.ts";
import { Sysctl } from "../../src/os/sysctl.ts";

const patienceMs = 10_000;

export interface CableEnd {
  readonly host: Host;
  readonly name: string;
  readonly addresses: readonly string[];
}

export class Host implements Disposable {
  readonly namespace: NetworkNamespace;
  readonly config: InterfaceConfig;

  constructor() {
    this.namespace = NetworkNamespace.create();
    this.config = this.namespace.run(InterfaceConfig.open);
    this.config.links.set(1, { up: true }); // loopback is the first interface of every namespace
  }

  /** The index of an interface that the test knows to be there. */
  indexOf(name: string): number {
    const link = this.config.links.find(name);
    if (link === undefined) throw new Error(`no interface ${name}`);
    return link.index;
  }

  /** Returns when the addresses can be used. */
  setUp(name: string, ...addresses: readonly string[]): void {
    const index = this.indexOf(name);
    this.config.links.set(index, { up: true });
    for (const address of addresses) this.config.addresses.add(index, Cidr.parse(address));
    this.settle(name);
  }

  /** Waits until an interface sends, and its addresses can be reached. */
  settle(name: string): void {
    if (!this.config.settle(this.indexOf(name), patienceMs)) throw new Error(`${name} cannot be used`);
  }

  /**
   * Lays a cable to another host. What either sends is no longer lost when this returns. Neither looks for duplicates of
   * its link-local address, without which a router cannot look for neighbours.
   */
  cable(name: string, addresses: readonly string[], far: CableEnd): void {
    this.config.links.createVeth({ name, peerName: far.name, peerNamespace: far.host.namespace.fd });
    this.namespace.run(() => Sysctl.set(`net/ipv6/conf/${name}/accept_dad`, 0));
    far.host.namespace.run(() => Sysctl.set(`net/ipv6/conf/${far.name}/accept_dad`, 0));
    this.setUp(name, ...addresses);
    far.host.setUp(far.name, ...far.addresses);
    this.settle(name); // it has had a carrier only since then
  }

  [Symbol.dispose](): void {
    this.config[Symbol.dispose]();
    this.namespace[Symbol.dispose]();
  }
}

export class SmallNetwork implements Disposable {
  readonly home: Host = new Host();
  readonly router: Host = new Host();
  readonly server: Host = new Host();

  constructor() {
    const { home, router, server } = this;
    for (const [name, subnet, host] of [
      ["inside", 1, home],
      ["outside", 2, server],
    ] as const) {
      const far = { host, name: "eth0", addresses: [`10.${subnet}.0.2/24`, `fd0${subnet}::2/64`] };
      router.cable(name, [`10.${subnet}.0.1/24`, `fd0${subnet}::1/64`], far);
    }
    for (const [destination, via] of [
      ["0.0.0.0/0", "10.1.0.1"],
      ["::/0", "fd01::1"],
    ]) {
      home.config.routes.add({ destination: Cidr.parse(destination), via: IpAddress.parse(via) });
    }
    router.namespace.run(() => {
      Sysctl.set("net/ipv4/ip_forward", 1);
      Sysctl.set("net/ipv6/conf/all/forwarding", 1);
    });
  }

  [Symbol.dispose](): void {
    for (const host of [this.home, this.router, this.server]) host[Symbol.dispose]();
  }
}
