/**
 * The MTU of a tunnel, from what is outside: as wg-quick(8) has it, the largest of what the routes to the endpoints
 * carry, less the 80 bytes that WireGuard adds where IPv6 is outside.
 */

import { Cidr, type IpAddress } from "../base/address.ts";
import type { InterfaceConfig } from "../os/interface-config.ts";
import { mainTable, type Route } from "../os/routes.ts";

const overhead = 80;
const ethernetMtu = 1500;
const smallestIpv6Mtu = 1280; // RFC 8200 §5: below it the kernel takes IPv6 off the interface
const largestMtu = 65_535 - overhead;
const everywhere = [Cidr.parse("0.0.0.0/0"), Cidr.parse("::/0")];

/** To be asked before the tunnel has routes of its own. */
export function tunnelMtu(
  config: InterfaceConfig,
  endpoints: readonly IpAddress[],
  addresses: readonly Cidr[],
): number {
  const found = endpoints.map((endpoint) => routeMtu(config, config.routes.lookup(endpoint)?.route));
  const outer = Math.max(0, ...found) || defaultRouteMtu(config) || ethernetMtu;
  const least = addresses.some((address) => address.family === 6) ? smallestIpv6Mtu : 0;
  return Math.min(largestMtu, Math.max(least, outer - overhead));
}

function defaultRouteMtu(config: InterfaceConfig): number {
  const routes = config.routes.list({ table: mainTable });
  return routeMtu(
    config,
    routes.find((route) => everywhere.some((whole) => whole.equals(route.destination)) && route.device !== undefined),
  );
}

/** 0 where there is no telling. */
function routeMtu(config: InterfaceConfig, route: Route | undefined): number {
  if (route?.mtu !== undefined) return route.mtu;
  return route?.device === undefined ? 0 : (config.links.find(route.device)?.mtu ?? 0);
}
