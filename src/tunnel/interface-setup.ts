/**
 * What a new interface is given besides packets: MTU, addresses, routes, and its place among the machine's links. All
 * of it belongs to the interface and goes with it, so there is nothing to undo.
 */
import type { Cidr } from "../base/address.ts";
import { InterfaceConfig } from "../os/interface-config.ts";

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
  using config = InterfaceConfig.open();
  config.links.set(index, { mtu });
  for (const address of addresses) config.addresses.add(index, address);
  config.links.set(index, { up: true });
  for (const destination of withoutOwnSubnets(routes, addresses)) config.routes.add({ destination, device: index });
}

/** The kernel makes the route to an address's own subnet by itself. */
function withoutOwnSubnets(routes: readonly Cidr[], addresses: readonly Cidr[]): Cidr[] {
  const unique = new Map(routes.map((route) => [route.network.toString(), route.network]));
  for (const address of addresses) unique.delete(address.network.toString());
  return [...unique.values()];
}
