/**
 * What makes a machine a gateway for its peers: forwarding in the kernel, and an nf_tables table of our own that lets
 * the tunnel's packets through and hides them behind this machine's addresses. The table belongs to this process and
 * vanishes with it, also after SIGKILL. The kernel parameters are claimed, since other tunnels may want them, too: the
 * last of them puts them back, where they are still as it left them.
 */
import type { Cidr } from "../base/address.ts";
import { gatewayTable, InstalledTable } from "../os/nftables.ts";
import { claimParameter, type Deed } from "./deed.ts";
import { Journal } from "./journal.ts";

const parameters = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;

/** What the table is called in which a tunnel's forwarding is. */
export function forwardingTable(tunnel: string): string {
  return `warren-${tunnel}`;
}

export class Forwarding implements Disposable {
  readonly #undo: DisposableStack;

  private constructor(undo: DisposableStack) {
    this.#undo = undo;
  }

  /**
   * Forwards what arrives from `tunnel`, for the families and subnets of the tunnel's own addresses, in the network
   * namespace of this thread. What is done is written into `journal`, or into one of its own. Throws `SystemError`s, with
   * everything undone.
   */
  static enable(tunnel: string, addresses: readonly Cidr[], journal?: Journal): Forwarding {
    using undo = new DisposableStack();
    const notes = journal ?? undo.use(Journal.open(tunnel));
    const layout = gatewayTable(
      forwardingTable(tunnel),
      tunnel,
      addresses.map((address) => address.network),
    );
    undo.defer(() => throwFirst(notes.undo(0, (deed) => isOfForwarding(deed, layout.name))));
    undo.use(notes.record({ kind: "table", name: layout.name }, () => InstalledTable.install(layout)));
    for (const family of new Set(addresses.map((address) => address.family))) {
      const parameter = parameters[family];
      notes.record({ kind: "parameter", parameter, value: "1" }, (context) => claimParameter(context, parameter, "1"));
    }
    return new Forwarding(undo.move());
  }

  [Symbol.dispose](): void {
    this.#undo.dispose();
  }
}

function isOfForwarding(deed: Deed, table: string): boolean {
  if (deed.kind === "table") return deed.name === table;
  return deed.kind === "parameter" && Object.values<string>(parameters).includes(deed.parameter);
}

function throwFirst(failures: readonly unknown[]): void {
  if (failures.length > 0) throw failures[0];
}
