/**
 * What a new interface is given besides packets: MTU, addresses, routes, and its place among the machine's links. All
 * of it belongs to the interface and goes with it, so there is nothing to undo.
 */
import type { Cidr } from "../base/address.ts";
import { Addresses } from "../os/addresses.ts";
import { Links } from "../os/links.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "../os/netlink.ts";
import { Routes } from "../os/routes.ts";

export interface InterfaceSetup {
  /** The interface's index. */
  readonly index: number;
  readonly mtu: number;
  readonly addresses: readonly Cidr[];
  /** Destinations to be reached through the interface. */
  readonly routes: readonly Cidr[];
}

/** Configures and brings up an interface in this thread's network namespace. Throws `SystemError`s that name the item. */
export function setUpInterface({ index, mtu, addresses, routes }: InterfaceSetup): void {
  using socket = NetlinkSocket.open(NETLINK_ROUTE);
  const links = new Links(socket);
  links.set(index, { mtu });
  for (const address of addresses) new Addresses(socket).add(index, address);
  links.set(index, { up: true });
  const table = new Routes(socket);
  for (const destination of withoutOwnSubnets(routes, addresses)) table.add({ destination, device: index });
}

/** The kernel makes the route to an address's own subnet by itself. */
function withoutOwnSubnets(routes: readonly Cidr[], addresses: readonly Cidr[]): Cidr[] {
  const unique = new Map(routes.map((route) => [route.network.toString(), route.network]));
  for (const address of addresses) unique.delete(address.network.toString());
  return [...unique.values()];
}
