/** The step `route`: what the client's kernel would do with a packet to the dns host, out of which table. */
import { IpAddress } from "../base/address.ts";
import { mainTable, type Route } from "../os/routes.ts";
import type { Host } from "./host.ts";
import { verify } from "./journal.ts";
import type { RouteEntry, WireguardSteps } from "./stages/wireguard-record.ts";
import { address, tunnelDevice } from "./topology.ts";
import type { RouteAnswer } from "./trace-record.ts";

/** What a host's kernel answers, asked for its way; `undefined` where it has none. It compares the prefixes, not we. */
export function askRoute(host: Host, target: IpAddress): RouteAnswer | undefined {
  const choice = host.config.routes.lookup(target);
  if (choice === undefined) return undefined;
  const { destination, via, device = 0 } = choice.route;
  return {
    asked: target.toString(),
    destination: destination.toString(),
    prefix: destination.prefix,
    via: via?.toString() ?? null,
    device: host.config.links.find(device)?.name ?? "none",
    source: choice.source?.toString() ?? null,
  };
}

/** Asks the kernel; it, not we, compares the prefixes. */
export function checkRoutes(
  client: Host,
  tunnel: string = tunnelDevice,
  destinations: readonly string[] = address.dns,
): WireguardSteps["route"] {
  const names = new Map(client.config.links.list().map((link) => [link.index, link.name]));
  const nameOf = (route: Route) => names.get(route.device ?? 0) ?? "none";
  const chosen = destinations.map((destination) => {
    const route = client.config.routes.lookup(IpAddress.parse(destination))?.route;
    const seen = route === undefined ? "has no route" : `chooses ${route.destination} by ${nameOf(route)}`;
    verify(
      route !== undefined && nameOf(route) === tunnel,
      `the client's route to ${destination} to lead into ${tunnel}`,
      `the kernel ${seen}`,
    );
    return { destination, route };
  });
  const routes = client.config.routes
    .list({ table: mainTable })
    .filter(({ kind, destination }) => kind === "unicast" && !destination.toString().startsWith("fe80:"))
    .map((route): RouteEntry => {
      const isChosen = chosen.find((choice) => choice.route.destination.equals(route.destination));
      return {
        destination: route.destination.prefix === 0 ? "default" : route.destination.toString(),
        via: route.via?.toString() ?? null,
        device: nameOf(route),
        chosenFor: isChosen?.destination ?? null,
      };
    });
  return { routes };
}
