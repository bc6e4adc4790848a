/** Which routes a tunnel's allowed IPs need, and where; pure. */
import type { AddressFamily, Cidr } from "../base/address.ts";
import { mainTable } from "../os/routes.ts";

/** Where the routes of allowed IPs go; a table's name has been looked up. */
export type RouteTarget =
  | { readonly kind: "auto" }
  | { readonly kind: "off" }
  | { readonly kind: "table"; readonly table: number };

export interface RoutePlan {
  /** The table of `destinations`. */
  readonly table: number;
  /** The longest prefixes first, each once. */
  readonly destinations: readonly Cidr[];
  /** The families whose default route goes into a table of its own, behind policy rules. */
  readonly defaults: readonly AddressFamily[];
}

/** As wg-quick does: `auto` has default routes apart, and leaves out what the addresses' own subnets cover. */
export function planRoutes(target: RouteTarget, allowedIps: readonly Cidr[], addresses: readonly Cidr[]): RoutePlan {
  if (target.kind === "off") return { table: mainTable, destinations: [], defaults: [] };
  const unique = [...new Map(allowedIps.map((allowed) => [allowed.network.toString(), allowed.network])).values()];
  const sorted = unique.sort((a, b) => b.prefix - a.prefix);
  if (target.kind === "table") return { table: target.table, destinations: sorted, defaults: [] };
  const families = ([4, 6] as const).filter((family) => sorted.some((cidr) => cidr.family === family && !cidr.prefix));
  // The kernel routes an address's subnet by itself, if it is more than that address of IPv4.
  const own = addresses.filter(({ family, prefix }) => family === 6 || prefix < 32).map((address) => address.network);
  const isCovered = (cidr: Cidr) => own.some((subnet) => subnet.prefix <= cidr.prefix && subnet.contains(cidr.address));
  const destinations = sorted.filter((cidr) => cidr.prefix > 0 && !isCovered(cidr));
  return { table: mainTable, destinations, defaults: families };
}
