/** The step `route`: what the client's kernel would do with a packet to the dns host, out of which table. */
import { IpAddress } from "../base/address.ts";
import { mainTable } from "../os/routes.ts";
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
  const chosen = destinations.map((destination) => {
    const answer = askRoute(client, IpAddress.parse(destination));
    const seen = answer === undefined ? "has no route" : `chooses ${answer.destination} by ${answer.device}`;
    const expected = `the client's route to ${destination} to lead into ${tunnel}`;
    verify(answer?.device === tunnel, expected, `the kernel ${seen}`);
    return answer;
  });
  return { routes: listRoutes(client, chosen) };
}

/** A host's main routing table, with those marked that were chosen. */
export function listRoutes(host: Host, chosen: readonly RouteAnswer[]): RouteEntry[] {
  const names = new Map(host.config.links.list().map((link) => [link.index, link.name]));
  return host.config.routes
    .list({ table: mainTable })
    .filter(({ kind, destination }) => kind === "unicast" && !destination.toString().startsWith("fe80:"))
    .map(
      ({ destination, via, device = 0 }): RouteEntry => ({
        destination: destination.prefix === 0 ? "default" : destination.toString(),
        via: via?.toString() ?? null,
        device: names.get(device) ?? "none",
        chosenFor: chosen.find((answer) => answer.destination === destination.toString())?.asked ?? null,
      }),
    );
}
