/**
 * The lab: a small internet on one machine, a WireGuard tunnel across it, and the proof, step by step, that packets of
 * programs which know nothing of a tunnel go through it and that nobody on the way can read them.
 *
 * All of it lives in network namespaces without names, held by this process, which itself runs in a namespace of its own
 * (`sandbox.ts`): the machine's links, routes, kernel parameters and firewall are never touched, and whatever happens
 * here, the kernel removes everything when the process is gone. The hosts are drawn in `topology.ts`. This process is
 * all of them; the two warrens and the programs that use the tunnel are children, each on its host.
 *
 *   topology → direct → server → client → route → handshake → forward → nat → ping → dns → eavesdropper → throughput → teardown
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Cidr } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { checkSecrecy } from "./eavesdropping.ts";
import { checkHandshake } from "./handshake-check.ts";
import { Journal, verify } from "./journal.ts";
import { Network } from "./network.ts";
import { findPing, ping } from "./ping-run.ts";
import { ownProgram, Program } from "./program.ts";
import {
  checkAnswers,
  checkForwarding,
  checkPings,
  checkTranslation,
  makeTraffic,
  requestsTo,
} from "./reachability.ts";
import type { Breakage, LabRecord, StepDetails, StepRecord } from "./record.ts";
import { checkRoutes } from "./routing.ts";
import { RunningTunnel } from "./running-tunnel.ts";
import { measureThroughput, startSink } from "./throughput.ts";
import { address, topology, tunnelDevice } from "./topology.ts";
import { makeTunnelConfigs } from "./tunnel-config.ts";

const startTimeoutMs = 5000;

export interface LabOptions {
  /** The command that runs warren. */
  readonly warren: readonly string[];
  /** What to damage. */
  readonly breakage?: Breakage | undefined;
  /** Told each step as it is done. */
  readonly onStep?: ((step: StepRecord) => void) | undefined;
}

/** Runs the lab in this thread's network namespace. What fails is in the record; throws only what is no step's fault. */
export async function runLab(options: LabOptions): Promise<LabRecord> {
  const start = performance.now();
  const journal = new Journal(options.onStep ?? (() => {}));
  const run = new LabRun(options, journal);
  try {
    await run.experiment();
  } catch (error) {
    if (journal.failure === undefined || !(error instanceof VpnError)) throw error;
  } finally {
    await run.tearDown();
  }
  return {
    ok: journal.failure === undefined,
    milliseconds: Math.round(performance.now() - start),
    privilege: privilege(),
    broken: options.breakage ?? null,
    topology,
    steps: journal.steps,
  };
}

class LabRun {
  readonly #warren: readonly string[];
  readonly #broken: Breakage | undefined;
  readonly #journal: Journal;
  readonly #pattern = randomBytes(16).toString("hex");
  readonly #tunnels: RunningTunnel[] = [];
  #network: Network | undefined;

  constructor(options: LabOptions, journal: Journal) {
    this.#warren = options.warren;
    this.#broken = options.breakage;
    this.#journal = journal;
  }

  async experiment(): Promise<void> {
    const journal = this.#journal;
    const installedPing = findPing();
    await journal.step("topology", () => this.#build());
    const network = this.#built();
    const configs = makeTunnelConfigs(this.#broken === "key");

    const serverSince = performance.now();
    const server = this.#startTunnel("server", configs.server);
    const nameServer = this.#startNameServer();
    await journal.step("direct", async () => this.#checkDirect(await installedPing));
    await journal.step("server", () => server.ready(address.tunnelServer), serverSince);
    if (this.#broken === "nat") network.host("server").setForwarding(true);
    if (this.#broken === "forward") network.host("server").setForwarding(false);

    using captures = new DisposableStack();
    const wire = captures.use(network.host("home").capture("lan"));
    const client = this.#startTunnel("client", configs.client);
    await journal.step("client", () => client.ready(address.tunnelClient));
    if (this.#broken === "route") this.#removeRoutes();
    const stations = {
      client: captures.use(network.host("client").capture(tunnelDevice)),
      server: captures.use(network.host("server").capture(tunnelDevice)),
      dns: captures.use(network.host("dns").capture("eth0")),
    };

    await journal.step("route", () => checkRoutes(network.host("client")));
    await journal.step("handshake", () => checkHandshake(wire));
    await nameServer.event("listening", startTimeoutMs);
    const sink = startSink(network.host("dns"));
    const since = performance.now();
    const traffic = await makeTraffic(network.host("client"), await installedPing, this.#pattern);
    await journal.step("forward", () => checkForwarding(stations));
    await journal.step("nat", () => checkTranslation(stations));
    await journal.step("ping", () => checkPings(traffic, stations), since);
    await journal.step("dns", () => checkAnswers(traffic, stations));
    await journal.step("eavesdropper", () => checkSecrecy(wire, stations.client, this.#pattern));
    captures.dispose(); // before they would have to hold every packet of the next step
    await journal.step("throughput", () => measureThroughput(network.host("client"), sink));
  }

  /** Ends everything, however far it came. */
  async tearDown(): Promise<void> {
    try {
      await this.#journal.step("teardown", async () => ({ tunnels: await this.#stopTunnels() }));
    } catch (error) {
      if (!(error instanceof VpnError)) throw error;
    } finally {
      await Program.killAll();
      this.#network?.[Symbol.dispose]();
    }
  }

  #build(): StepDetails["topology"] {
    this.#network = new Network();
    return { hosts: topology.hosts.length, links: topology.links.length };
  }

  #built(): Network {
    if (this.#network === undefined) throw new VpnError("invalid-argument", "the lab is not built");
    return this.#network;
  }

  #startTunnel(name: "server" | "client", config: string): RunningTunnel {
    const forward = name === "server" && this.#broken !== "nat";
    const tunnel = new RunningTunnel({ host: this.#built().host(name), warren: this.#warren, config, forward });
    this.#tunnels.push(tunnel);
    return tunnel;
  }

  #startNameServer(): Program {
    const silence = this.#broken === "dns" ? ["--silent"] : [];
    return this.#built()
      .host("dns")
      .start(ownProgram("programs/dns-responder", ...address.dns, ...silence));
  }

  /** Without a tunnel the dns host is reached as well, and sees who asks: the home router. */
  async #checkDirect(installedPing: string | undefined): Promise<StepDetails["direct"]> {
    using dnsLink = this.#built().host("dns").capture("eth0");
    const [destination] = address.dns;
    const request = { destination, count: 1, pattern: this.#pattern };
    const done = await ping(this.#built().host("client"), installedPing, request);
    verify(done.replies.length === 1, `${destination} to answer without the tunnel`, "it did not");
    const [{ source }] = requestsTo(dnsLink.drain(), destination);
    verify(source === address.home[0], `${destination} to be pinged by ${address.home[0]}`, `it saw ${source}`);
    return { ping: done, seenFrom: source };
  }

  #removeRoutes(): void {
    const client = this.#built().host("client");
    const device = client.device(tunnelDevice);
    for (const destination of address.dns)
      client.config.routes.remove({ destination: Cidr.parse(destination), device });
  }

  async #stopTunnels(): Promise<StepDetails["teardown"]["tunnels"]> {
    // All are told to end before the first complaint.
    const ends = await Promise.allSettled(this.#tunnels.map((tunnel) => tunnel.stop()));
    return ends.map((end) => {
      if (end.status === "rejected") throw end.reason;
      return end.value;
    });
  }
}

/** In a user namespace, root's id stands for somebody else (user_namespaces(7)). */
function privilege(): "root" | "user" {
  const [inside, outside] = readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/);
  return inside === outside ? "root" : "user";
}
