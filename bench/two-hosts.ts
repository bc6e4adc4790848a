/**
 * Where every run takes place: two fresh network namespaces joined by one cable. They have no name, so whatever becomes
 * of the bench, the kernel removes them with its last process.
 *
 *     a                                                   b
 *     10.8.0.1 tunnel ── 198.18.0.1 veth ── cable ── veth 198.18.0.2 ── tunnel 10.8.0.2
 *     fd00:8::1          or 2001:2::1                or 2001:2::2              fd00:8::2
 *     sends                                                                    receives
 */
import { Cidr, Endpoint } from "../src/base/address.ts";
import { InterfaceConfig } from "../src/os/interface-config.ts";
import { NetworkNamespace } from "../src/os/namespace.ts";

export const mtu = 1420;
export type Family = 4 | 6;

export interface Host {
  readonly name: "a" | "b";
  readonly namespace: NetworkNamespace;
  /** Where the other host sends the tunnel's datagrams: an address for benchmarks (RFC 2544, RFC 5180) and a port. */
  readonly endpoint: Endpoint;
  /** The host's own addresses inside the tunnel. */
  readonly v4: Cidr;
  readonly v6: Cidr;
}

export class TwoHosts implements Disposable {
  readonly a: Host;
  readonly b: Host;

  /** `outside` is what carries the tunnel's datagrams. Throws `VpnError` where namespaces may not be made. */
  constructor(outside: Family = 4) {
    using undo = new DisposableStack();
    const host = (name: Host["name"], number: number): Host => ({
      name,
      namespace: undo.use(NetworkNamespace.create()),
      endpoint: Endpoint.parse(
        `${outside === 4 ? "198.18.0." : "[2001:2::"}${number}${outside === 4 ? "" : "]"}:${5000 + number}`,
      ),
      v4: Cidr.parse(`10.8.0.${number}/24`),
      v6: Cidr.parse(`fd00:8::${number}/64`),
    });
    this.a = host("a", 1);
    this.b = host("b", 2);
    using atA = this.a.namespace.run(InterfaceConfig.open);
    using atB = this.b.namespace.run(InterfaceConfig.open);
    atA.links.createVeth({ name: "cable", peerName: "cable", peerNamespace: this.b.namespace.fd });
    for (const [config, { endpoint }] of [[atA, this.a] as const, [atB, this.b] as const]) {
      const index = config.links.find("cable")?.index ?? 0;
      config.addresses.add(index, new Cidr(endpoint.address, outside === 4 ? 24 : 64));
      config.links.set(index, { up: true });
    }
    for (const config of [atA, atB]) config.settle(config.links.find("cable")?.index ?? 0);
    undo.move();
  }

  [Symbol.dispose](): void {
    this.a.namespace[Symbol.dispose]();
    this.b.namespace[Symbol.dispose]();
  }
}
