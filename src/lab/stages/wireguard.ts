/**
 * The stage `wireguard`: a WireGuard tunnel across the little internet, programs that know nothing of it, and nobody on
 * the way who can read them.
 *
 *   direct → server → client → route → handshake → forward → nat → ping → dns → eavesdropper → throughput
 *
 * With `--trace` one ping is followed instead of what comes after the handshake, with `--shell` there is a shell.
 */
import { Cidr } from "../../base/address.ts";
import { wireguardCarrier } from "../carriers.ts";
import { checkSecrecy } from "../eavesdropping.ts";
import { checkHandshake } from "../handshake-check.ts";
import type { Host } from "../host.ts";
import { type Journal, verify } from "../journal.ts";
import { listening, startNameServer } from "../name-server.ts";
import {
  checkAnswers,
  checkForwarding,
  checkPings,
  checkTranslation,
  makeTraffic,
  requestsTo,
} from "../reachability.ts";
import { checkRoutes } from "../routing.ts";
import { openShell } from "../shell.ts";
import { type ShellSteps, shellAccounts } from "../shell-account.ts";
import { defineStage, type Stage } from "../stage.ts";
import { measureThroughput, startSink } from "../throughput.ts";
import { address, drawing, topology, tunnelDevice, tunnelPort } from "../topology.ts";
import { tracePing } from "../trace.ts";
import { traceAccounts } from "../trace-account.ts";
import type { TraceSteps } from "../trace-record.ts";
import { makeTunnelConfigs } from "../tunnel-config.ts";
import type { Workbench } from "../workbench.ts";
import { wireguardAccounts } from "./wireguard-account.ts";
import { type WireguardBreakage, type WireguardSteps, wireguardBreakages } from "./wireguard-record.ts";

export const wireguardStage: Stage = defineStage<WireguardSteps & TraceSteps & ShellSteps>({
  name: "wireguard",
  description: "A VPN between hosts made on this machine, each a network namespace",
  drawing,
  topology,
  breakages: wireguardBreakages,
  modes: ["trace", "shell"],
  accounts: { ...wireguardAccounts, ...traceAccounts, ...shellAccounts },
  run,
});

async function run(bench: Workbench, journal: Journal<WireguardSteps & TraceSteps & ShellSteps>): Promise<void> {
  const broken = bench.broken as WireguardBreakage | undefined;
  const configs = makeTunnelConfigs(broken === "key");
  const hosts = { client: bench.host("client"), server: bench.host("server"), dns: bench.host("dns") };

  const serverSince = performance.now();
  const server = bench.startTunnel({ host: "server", config: configs.server, forward: broken !== "nat" });
  const nameServer = startNameServer(hosts.dns, broken === "dns");
  await journal.step("direct", () => checkDirect(bench));
  await journal.step("server", () => server.ready(address.tunnelServer), serverSince);
  if (broken === "nat") hosts.server.setForwarding(true);
  if (broken === "forward") hosts.server.setForwarding(false);

  using captures = new DisposableStack();
  const wire = captures.use(bench.host("home").capture("lan"));
  const client = bench.startTunnel({ host: "client", config: configs.client });
  await journal.step("client", () => client.ready(address.tunnelClient));
  if (broken === "route") removeRoutes(hosts.client);
  const stations = {
    client: captures.use(hosts.client.capture(tunnelDevice)),
    server: captures.use(hosts.server.capture(tunnelDevice)),
    dns: captures.use(hosts.dns.capture("eth0")),
  };

  await journal.step("route", () => checkRoutes(hosts.client));
  await journal.step("handshake", () => checkHandshake(wire));
  if (bench.mode === "trace") {
    return tracePing(bench, journal, { device: tunnelDevice, carrier: wireguardCarrier(tunnelPort) });
  }
  await listening(nameServer);
  if (bench.mode === "shell") {
    await journal.step("shell", () => openShell(bench, { device: tunnelDevice, carrier: `udp port ${tunnelPort}` }));
    return;
  }
  const sink = startSink(hosts.dns);
  const since = performance.now();
  const traffic = await makeTraffic(bench);
  await journal.step("forward", () => checkForwarding(stations));
  await journal.step("nat", () => checkTranslation(stations));
  await journal.step("ping", () => checkPings(traffic, stations), since);
  await journal.step("dns", () => checkAnswers(traffic, stations));
  await journal.step("eavesdropper", () => checkSecrecy(wire, stations.client, bench.pattern));
  captures.dispose(); // before they would have to hold every packet of the next step
  await journal.step("throughput", () => measureThroughput(hosts.client, sink));
}

/** Without a tunnel the dns host is reached as well, and sees who asks: the home router. */
async function checkDirect(bench: Workbench): Promise<WireguardSteps["direct"]> {
  using dnsLink = bench.host("dns").capture("eth0");
  const [destination] = address.dns;
  const done = await bench.ping("client", { destination, count: 1 });
  verify(done.replies.length === 1, `${destination} to answer without the tunnel`, "it did not");
  const [{ source }] = requestsTo(dnsLink.drain(), destination);
  verify(source === address.home[0], `${destination} to be pinged by ${address.home[0]}`, `it saw ${source}`);
  return { ping: done, seenFrom: source };
}

function removeRoutes(client: Host): void {
  const device = client.device(tunnelDevice);
  for (const destination of address.dns) client.config.routes.remove({ destination: Cidr.parse(destination), device });
}
