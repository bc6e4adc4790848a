/**
 * What makes a machine a gateway for its peers: forwarding in the kernel, and an nf_tables table of our own that lets
 * the tunnel's packets through and hides them behind this machine's addresses. The table belongs to this process and
 * vanishes with it, also after SIGKILL; the kernel parameters are put back on disposal, where they are still as we left
 * them.
 */
import type { Cidr } from "../base/address.ts";
import { gatewayTable, InstalledTable } from "../os/nftables.ts";
import { Sysctl } from "../os/sysctl.ts";

const parameters = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;

export class Forwarding implements Disposable {
  readonly #undo: DisposableStack;

  private constructor(undo: DisposableStack) {
    this.#undo = undo;
  }

  /**
   * Forwards what arrives from `tunnel`, for the families and subnets of the tunnel's own addresses, in the network
   * namespace of this thread. Throws `SystemError`s, with everything undone.
   */
  static enable(tunnel: string, addresses: readonly Cidr[]): Forwarding {
    using undo = new DisposableStack();
    const subnets = addresses.map((address) => address.network);
    undo.use(InstalledTable.install(gatewayTable(`warren-${tunnel}`, tunnel, subnets)));
    for (const family of new Set(subnets.map((subnet) => subnet.family))) {
      const parameter = parameters[family];
      const former = Sysctl.set(parameter, 1);
      if (former !== undefined) undo.defer(() => putBack(parameter, former));
    }
    return new Forwarding(undo.move());
  }

  [Symbol.dispose](): void {
    this.#undo.dispose();
  }
}

/** Somebody who changed the value since has a reason for it. */
function putBack(parameter: string, former: string): void {
  if (Sysctl.get(parameter) === "1") Sysctl.set(parameter, former);
}
