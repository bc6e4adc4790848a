/**
 * What makes a machine a gateway for its peers: forwarding in the kernel, and an nf_tables table of our own that lets
 * the tunnel's packets through and hides them behind this machine's addresses. The table belongs to this process and
 * vanishes with it, also after SIGKILL; the kernel parameters are put back on disposal and when the process exits, where
 * they are still as we left them.
 */
import type { Cidr } from "../base/address.ts";
import { NetworkNamespace } from "../os/namespace.ts";
import { gatewayTable, InstalledTable } from "../os/nftables.ts";
import { Sysctl } from "../os/sysctl.ts";

const parameters = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;

export class Forwarding implements Disposable {
  readonly #undo: DisposableStack;
  /** An uncaught exception gets no further than the exit hooks. */
  readonly #onExit = () => this.#undo.dispose();

  private constructor(undo: DisposableStack) {
    this.#undo = undo;
  }

  /**
   * Forwards what arrives from `tunnel`, for the families and subnets of the tunnel's own addresses, in the network
   * namespace of this thread. Throws `SystemError`s, with everything undone.
   */
  static enable(tunnel: string, addresses: readonly Cidr[]): Forwarding {
    using undo = new DisposableStack();
    const home = undo.use(NetworkNamespace.current());
    const subnets = addresses.map((address) => address.network);
    undo.use(InstalledTable.install(gatewayTable(`warren-${tunnel}`, tunnel, subnets)));
    for (const family of new Set(subnets.map((subnet) => subnet.family))) {
      const parameter = parameters[family];
      const former = Sysctl.set(parameter, 1);
      if (former !== undefined) undo.defer(() => inside(home, () => putBack(parameter, former)));
    }
    const forwarding = new Forwarding(undo.move());
    process.on("exit", forwarding.#onExit);
    return forwarding;
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#onExit);
    this.#undo.dispose();
  }
}

/** Runs an action in a namespace; without a change of namespace, which takes CAP_SYS_ADMIN, where the thread is there. */
function inside(namespace: NetworkNamespace, action: () => void): void {
  using here = NetworkNamespace.current();
  if (String(here) === String(namespace)) action();
  else namespace.run(action);
}

/** Somebody who changed the value since has a reason for it. */
function putBack(parameter: string, former: string): void {
  if (Sysctl.get(parameter) === "1") Sysctl.set(parameter, former);
}
