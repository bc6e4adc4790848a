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

  setUp(name: string, ...addresses: string[]): void {
    const index = this.indexOf(name);
    this.config.links.set(index, { up: true });
    for (const address of addresses) this.config.addresses.add(index, Cidr.parse(address));
  }

  /** Waits until all its addresses can be reached. */
  settle(): void {
    for (const { index } of this.config.links.list()) {
      if (!this.config.settle(index)) throw new Error("an IPv6 address cannot be reached");
    }
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
    router.config.links.createVeth({ name: "inside", peerName: "eth0", peerNamespace: home.namespace.fd });
    router.config.links.createVeth({ name: "outside", peerName: "eth0", peerNamespace: server.namespace.fd });
    router.setUp("inside", "10.1.0.1/24", "fd01::1/64");
    router.setUp("outside", "10.2.0.1/24", "fd02::1/64");
    home.setUp("eth0", "10.1.0.2/24", "fd01::2/64");
    server.setUp("eth0", "10.2.0.2/24", "fd02::2/64");
    for (const [destination, via] of [
      ["0.0.0.0/0", "10.1.0.1"],
      ["::/0", "fd01::1"],
    ]) {
      home.config.routes.add({ destination: Cidr.parse(destination), via: IpAddress.parse(via) });
    }
    for (const host of [home, router, server]) host.settle();
    router.namespace.run(() => {
      Sysctl.set("net/ipv4/ip_forward", 1);
      Sysctl.set("net/ipv6/conf/all/forwarding", 1);
    });
  }

  [Symbol.dispose](): void {
    for (const host of [this.home, this.router, this.server]) host[Symbol.dispose]();
  }
}
