/**
 * The stage `prefix`: 8.8.8.8/32 goes through the tunnel while the rest of 8.0.0.0/8 does not, over IPv6 likewise. The
 * kernel says which route it takes for each address, and captures on both interfaces of the client say where the pings
 * went.
 *
 *   server → client → table → choice → paths → without → again
 */
import { Cidr, IpAddress } from "../../base/address.ts";
import { mainTable, type Route } from "../../os/routes.ts";
import type { Host } from "../host.ts";
import { type Journal, verify } from "../journal.ts";
import { requestsTo } from "../reachability.ts";
import { askRoute, listRoutes } from "../routing.ts";
import { defineStage, type Stage } from "../stage.ts";
import { address, drawing, topology, tunnelDevice } from "../topology.ts";
import type { RouteAnswer } from "../trace-record.ts";
import { makeTunnelConfigs } from "../tunnel-config.ts";
import type { Workbench } from "../workbench.ts";
import { type Path, type PrefixSteps, prefixAccounts } from "./prefix-account.ts";

/** Added by hand, as the seed's example has it: everything of the neighbourhood goes by the home router. */
const wide: readonly Route[] = [
  { destination: Cidr.parse("8.0.0.0/8"), via: IpAddress.parse("192.168.1.1") },
  { destination: Cidr.parse("2001:4860::/32"), via: IpAddress.parse("fd00:1:2:3::1") },
];
const pings = 2;

/** What the kernel must choose for an address: how long a prefix, and which interface. */
type Choices = readonly (readonly [target: string, prefix: number, device: string])[];

const others: Choices = [
  [address.neighbour[0], 8, "eth0"],
  [address.neighbour[1], 32, "eth0"],
  [address.server[0], 0, "eth0"],
  [address.server[1], 0, "eth0"],
];
const withRoute: Choices = [[address.dns[0], 32, tunnelDevice], [address.dns[1], 128, tunnelDevice], ...others];
const withoutRoute: Choices = [[address.dns[0], 8, "eth0"], [address.dns[1], 32, "eth0"], ...others];

export const prefixStage: Stage = defineStage<PrefixSteps>({
  name: "prefix",
  description: "The longest prefix wins: one address through the tunnel, its neighbours beside it",
  drawing,
  topology,
  breakages: ["route"],
  accounts: prefixAccounts,
  run,
});

async function run(bench: Workbench, journal: Journal<PrefixSteps>): Promise<void> {
  const configs = makeTunnelConfigs(false);
  const client = bench.host("client");
  // One after the other: the client shakes hands as soon as it is up, and tries again only after five seconds.
  const serverSince = performance.now();
  const server = bench.startTunnel({ host: "server", config: configs.server, forward: true });
  await journal.step("server", () => server.ready(address.tunnelServer), serverSince);
  const clientSince = performance.now();
  const own = bench.startTunnel({ host: "client", config: configs.client });
  await journal.step("client", () => own.ready(address.tunnelClient), clientSince);
  const narrow: readonly Route[] = address.dns.map((text) => ({
    destination: Cidr.parse(text),
    device: client.device(tunnelDevice),
  }));
  for (const route of wide) client.config.routes.add(route);
  if (bench.broken === "route") remove(client, narrow);

  await journal.step("table", () => readTable(client));
  await journal.step("choice", () => ({ answers: checkChoices(client, withRoute) }));
  await journal.step("paths", async () => ({ paths: await checkPaths(bench, "tunnel") }));
  await journal.step("without", async () => {
    remove(client, narrow);
    const answers = checkChoices(client, withoutRoute);
    const removed = narrow.map(({ destination }) => destination.toString());
    return { removed, answers, paths: await checkPaths(bench, "outside") };
  });
  await journal.step("again", () => {
    for (const route of narrow) client.config.routes.add(route);
    return { answers: checkChoices(client, withRoute) };
  });
}

function remove(client: Host, routes: readonly Route[]): void {
  for (const route of routes) client.config.routes.remove(route);
}

function readTable(client: Host): PrefixSteps["table"] {
  const targets = address.dns.map((text) => IpAddress.parse(text));
  const [target] = targets;
  const matching = client.config.routes
    .list({ family: 4, table: mainTable })
    .filter(({ destination }) => destination.contains(target))
    .map(({ destination }) => destination.toString());
  return {
    routes: listRoutes(
      client,
      targets.flatMap((one) => askRoute(client, one) ?? []),
    ),
    matching,
  };
}

/** Asks the kernel for each; it, not we, compares the prefixes. */
function checkChoices(client: Host, choices: Choices): RouteAnswer[] {
  return choices.map(([target, prefix, device]) => {
    const answer = askRoute(client, IpAddress.parse(target));
    const seen = answer === undefined ? "has no route" : `chooses ${answer.destination} by ${answer.device}`;
    const expected = `the client's kernel to choose a prefix of length ${prefix} by ${device} for ${target}`;
    verify(answer?.prefix === prefix && answer.device === device, expected, `it ${seen}`);
    return answer;
  });
}

/** Pings both addresses of both families, and looks where the requests went. `way` is that of 8.8.8.8. */
async function checkPaths(bench: Workbench, way: "tunnel" | "outside"): Promise<Path[]> {
  using inside = bench.host("client").capture(tunnelDevice);
  using outside = bench.host("client").capture("eth0");
  using dnsLink = bench.host("dns").capture("eth0");
  const targets = [...address.dns, ...address.neighbour];
  const runs = await Promise.all(targets.map((destination) => bench.ping("client", { destination, count: pings })));
  return targets.map((destination, i) => {
    const isNarrow = (address.dns as readonly string[]).includes(destination);
    const throughTunnel = isNarrow && way === "tunnel";
    const [inTunnel, open] = [inside, outside].map((capture) => requestsTo(capture.drain(), destination).length);
    const expected = `${pings} pings to ${destination} ${throughTunnel ? `in ${tunnelDevice} alone` : "by eth0 alone"}`;
    const seen = `${inTunnel} went into ${tunnelDevice} and ${open} openly by eth0`;
    verify(inTunnel === (throughTunnel ? pings : 0) && open === pings - inTunnel, expected, seen);
    const seenFrom = requestsTo(dnsLink.drain(), destination).at(0)?.source;
    const family = destination.includes(":") ? 1 : 0;
    const source = (throughTunnel ? address.server : address.home)[family];
    verify(seenFrom !== undefined, `${destination} to be pinged by ${source}`, "no ping arrived there");
    verify(seenFrom === source, `${destination} to be pinged by ${source}`, `it was pinged by ${seenFrom}`);
    const replies = runs[i].replies.length;
    verify(replies === pings, `${pings} replies from ${destination}`, `there were ${replies}`);
    return { destination, pings, inTunnel, outside: open, seenFrom, replies };
  });
}
