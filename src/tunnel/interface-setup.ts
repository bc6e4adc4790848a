/**
 * What a new interface is given besides packets: MTU, addresses, routes, and its place among the machine's links. All
 * of it belongs to the interface and goes with it, so there is nothing to undo.
 */
import type { Cidr, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import { Sysctl } from "../os/sysctl.ts";
import { Errno, SystemError } from "../os/system-error.ts";

export interface InterfaceSetup {
  /** The interface's index. */
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly addresses: readonly Cidr[];
  /** Destinations to be reached through the interface. */
  readonly routes: readonly Cidr[];
  /** Where the peers are, and the firewall mark of what is sent there: these may not be reached through the interface. */
  readonly endpoints?: readonly IpAddress[];
  readonly mark?: number | undefined;
}

/**
 * Configures and brings up an interface in this thread's network namespace. Throws `SystemError`s that name the item,
 * and `invalid-configuration` where the routes would lead the tunnel's own datagrams into the tunnel.
 */
export function setUpInterface(setup: InterfaceSetup): void {
  const { index, mtu, addresses, routes, endpoints = [], mark } = setup;
  using config = InterfaceConfig.open();
  config.links.set(index, { mtu });
  withoutLinkLocal(setup.name);
  for (const address of addresses) config.addresses.add(index, address);
  config.links.set(index, { up: true });
  config.settle(index);
  for (const destination of withoutOwnSubnets(routes, addresses)) config.routes.add({ destination, device: index });
  for (const endpoint of endpoints) {
    if (config.routes.lookup(endpoint, mark)?.route.device !== index) continue;
    throw new VpnError(
      "invalid-configuration",
      `the way to the endpoint ${endpoint} would lead into the tunnel itself`,
      {
        remedy: "leave it out of AllowedIPs, or first add a route of its own to it",
      },
    );
  }
}

/**
 * As the kernel's own WireGuard does (drivers/net/wireguard/device.c, wg_open): a tunnel has no neighbours, and an
 * automatic address would only send solicitations that no peer is there for.
 */
export function withoutLinkLocal(name: string): void {
  setIfPossible(`net/ipv6/conf/${name}/addr_gen_mode`, 1); // IN6_ADDR_GEN_MODE_NONE
}

/** An address of IPv4 can then go without the others of its subnet, and so without the interface's routes. */
export function promoteSecondaries(name: string): void {
  setIfPossible(`net/ipv4/conf/${name}/promote_secondaries`, 1);
}

function setIfPossible(parameter: string, value: number): void {
  try {
    Sysctl.set(parameter, value);
  } catch (error) {
    const spared: readonly number[] = [Errno.ENOENT, Errno.EROFS, Errno.EACCES]; // no IPv6, or a container's /proc/sys
    if (!(error instanceof SystemError && spared.includes(error.errno))) throw error;
  }
}

/** The kernel makes the route to an address's own subnet by itself. */
function withoutOwnSubnets(routes: readonly Cidr[], addresses: readonly Cidr[]): Cidr[] {
  const unique = new Map(routes.map((route) => [route.network.toString(), route.network]));
  for (const address of addresses) unique.delete(address.network.toString());
  return [...unique.values()];
}
