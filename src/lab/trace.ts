/**
 * `--trace`: one ping from the client to 8.8.8.8 and back, followed through every place where it can be seen: the socket
 * calls of the program, AF_PACKET captures on seven interfaces, and the routes that the kernels choose. A place where it
 * was not seen fails the step; what is not seen is not told.
 */
import { IpAddress } from "../base/address.ts";
import { equalBytes, fromHex } from "../base/bytes.ts";
import { Protocol } from "../packet/ip.ts";
import type { Capture } from "./capture.ts";
import type { Carried, Carrier } from "./carriers.ts";
import { type Journal, verify } from "./journal.ts";
import { echoKind, summarisePacket } from "./packet-summary.ts";
import { ownProgram } from "./program.ts";
import { askRoute } from "./routing.ts";
import { address, type HostName } from "./topology.ts";
import type { RouteAnswer, TraceSteps } from "./trace-record.ts";
import { Trail } from "./trace-trail.ts";
import type { Workbench } from "./workbench.ts";

export interface TracedTunnel {
  /** Its interface on both ends. */
  readonly device: string;
  readonly carrier: Carrier;
}

/** An interface of the lab, and which way the packet passes it. */
interface Place {
  readonly host: HostName;
  readonly device: string;
  readonly direction: "in" | "out";
}

/** What the program's calls were given and gave back. */
interface Told {
  readonly sent: Uint8Array;
  readonly received: Uint8Array | undefined;
}

/** What complaints call the hosts. */
const called: Readonly<Record<HostName, string>> = {
  client: "client",
  home: "home router",
  internet: "internet's router",
  server: "server",
  dns: "dns host",
};
const patienceMs = 20_000; // a few seconds of it are the program's own
const [destination] = address.dns;

/** Follows a ping to its destination and back, as the steps `request` and `reply`. The tunnel must be up on both ends. */
export async function tracePing(bench: Workbench, journal: Journal<TraceSteps>, tunnel: TracedTunnel): Promise<void> {
  using trace = new Trace(bench, tunnel);
  await journal.step("request", () => trace.request());
  await journal.step("reply", () => trace.reply());
}

class Trace implements Disposable {
  readonly #bench: Workbench;
  readonly #tunnel: TracedTunnel;
  readonly #captures = new Map<string, Capture>();
  readonly #stack = new DisposableStack();
  readonly #trail = new Trail();
  readonly #secret: Uint8Array;
  #told: Told | undefined;

  /** Captures from now on. */
  constructor(bench: Workbench, tunnel: TracedTunnel) {
    this.#bench = bench;
    this.#tunnel = tunnel;
    this.#secret = bytesOf(bench.pattern);
    const places: readonly [HostName, string][] = [
      ["client", tunnel.device],
      ["client", "eth0"],
      ["home", "lan"],
      ["home", "wan"],
      ["server", "eth0"],
      ["server", tunnel.device],
      ["dns", "eth0"],
    ];
    for (const [host, device] of places) {
      this.#captures.set(`${host} ${device}`, this.#stack.use(bench.host(host).capture(device)));
    }
  }

  /** Pings, waits for the reply or until there will be none, and follows the request. */
  async request(): Promise<TraceSteps["request"]> {
    const told = await this.#ping();
    const trail = this.#trail;
    const { device } = this.#tunnel;
    const sent = { bytes: told.sent, start: "ICMP" } as const;
    trail.add({ seed: [1], host: "client", place: "application: sendto()", sighting: sent });
    trail.add({
      seed: [3],
      host: "client",
      place: "kernel: routing decision",
      route: this.#route("client", destination),
    });
    const queue = { host: "client", device, direction: "out" } as const;
    const inner = this.#sees(queue, "request");
    const entered = trail.add({ seed: [2, 4], ...queue, place: "TUN queue", sighting: { bytes: inner }, since: 1 });

    const tunnelled = this.#carry(inner, [5, 6], [7], ["client", "home", "server"]);
    const serverTun = { host: "server", device, direction: "in" } as const;
    const out = this.#sees(serverTun, "request");
    trail.add({ seed: [8], host: "server", place: "warren: opens", wrapping: this.#unwrap(tunnelled, out) });
    const left = trail.add({ seed: [9], ...serverTun, place: "TUN", sighting: { bytes: out }, since: entered });

    const link = { host: "server", device: "eth0", direction: "out" } as const;
    const sighting = { bytes: this.#sees(link, "request") };
    const route = this.#route("server", destination);
    const forwarded = trail.add({
      seed: [9],
      ...link,
      place: "kernel: forwarding and NAT",
      sighting,
      route,
      since: left,
    });
    const end = { host: "dns", device: "eth0", direction: "in" } as const;
    const arrived = { bytes: this.#sees(end, "request") };
    trail.add({ seed: [10], ...end, place: "destination", sighting: arrived, since: forwarded });
    return { points: trail.pointsFrom(1) };
  }

  /** Follows the reply; after `request`. */
  reply(): TraceSteps["reply"] {
    const trail = this.#trail;
    const first = trail.last + 1;
    const { device } = this.#tunnel;
    const start = { host: "dns", device: "eth0", direction: "out" } as const;
    const answered = { bytes: this.#sees(start, "reply") };
    const sent = trail.add({ seed: [], ...start, place: "destination: answers", sighting: answered, since: first - 1 });
    this.#verifyTranslated();
    const link = { host: "server", device: "eth0", direction: "in" } as const;
    const back = { bytes: this.#sees(link, "reply") };
    const came = trail.add({ seed: [1], ...link, place: "arrives", sighting: back, since: sent });
    const queue = { host: "server", device, direction: "out" } as const;
    const inner = this.#sees(queue, "reply");
    const entered = trail.add({
      seed: [2, 3],
      ...queue,
      place: "kernel: NAT, forwarding, TUN queue",
      sighting: { bytes: inner },
      route: this.#route("server", address.tunnelClient[0]),
      since: came,
    });

    const tunnelled = this.#carry(inner, [4], [4], ["server", "home", "client"]);
    const clientTun = { host: "client", device, direction: "in" } as const;
    const out = this.#sees(clientTun, "reply");
    trail.add({ seed: [5, 6], host: "client", place: "warren: opens", wrapping: this.#unwrap(tunnelled, out) });
    const left = trail.add({ seed: [7], ...clientTun, place: "TUN", sighting: { bytes: out }, since: entered });
    const received = this.#told?.received;
    verify(received !== undefined, "the program's socket to give the reply", "it waited for nothing");
    const sighting = { bytes: received, start: "ICMP" } as const;
    trail.add({ seed: [8, 9], host: "client", place: "application: recvmsg()", sighting, since: left });
    return { points: trail.pointsFrom(first) };
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  async #ping(): Promise<Told> {
    const client = this.#bench.host("client");
    const program = client.start(ownProgram("programs/told-ping", destination, this.#bench.pattern));
    const sent = bytesOf((await program.event("sent", patienceMs)).bytes);
    const { status } = await program.end(patienceMs);
    const received = status === 0 ? bytesOf((await program.event("received", 0)).bytes) : undefined;
    this.#told = { sent, received };
    return this.#told;
  }

  /** The points from one end's warren to the other's link. Returns the outer packet as it arrived there. */
  #carry(
    inner: Uint8Array,
    sealing: readonly number[],
    travelling: readonly number[],
    [from, , to]: readonly [HostName, HostName, HostName],
  ): Uint8Array {
    const trail = this.#trail;
    const outward = from === "client";
    const link = { host: from, device: "eth0", direction: "out" } as const;
    const { packet, payload, wrapping } = this.#carrierOf(link, inner);
    trail.add({ seed: sealing, host: from, place: "warren: wraps", wrapping });
    const target = destinationOf(packet);
    const route = this.#route(from, target);
    let since = trail.add({ seed: travelling, ...link, place: "socket", sighting: { bytes: packet }, route });

    const sides = [
      { host: "home", device: "lan", direction: outward ? "in" : "out", place: "router, inside" },
      { host: "home", device: "wan", direction: outward ? "out" : "in", place: "router, outside" },
    ] as const;
    const stations = outward ? sides : sides.toReversed();
    for (const [i, station] of stations.entries()) {
      const bytes = this.#passes(station, payload);
      const leaving = i === 1 ? { route: this.#route("home", destinationOf(bytes)) } : {};
      since = trail.add({ seed: travelling, ...station, sighting: { bytes }, since, ...leaving });
    }
    const end = { host: to, device: "eth0", direction: "in" } as const;
    const bytes = this.#passes(end, payload);
    trail.add({ seed: travelling, ...end, place: "arrives", sighting: { bytes }, since });
    return bytes;
  }

  /** The ping's request or reply among what passed a place. */
  #sees(place: Place, kind: "request" | "reply"): Uint8Array {
    const found = this.#packetsAt(place).find((packet) => {
      const summary = summarisePacket(packet);
      return summary?.protocol === Protocol.icmp && echoKind(summary) === kind && contains(summary.body, this.#secret);
    });
    return this.#present(found, `the ${kind}`, place);
  }

  /** The outer packet with this payload among what passed a place. */
  #passes(place: Place, payload: Uint8Array): Uint8Array {
    const found = this.#packetsAt(place).find((packet) => {
      const own = this.#tunnel.carrier.payloadOf(packet);
      return own !== undefined && equalBytes(own, payload);
    });
    return this.#present(found, "what carries it", place);
  }

  #carrierOf(place: Place, inner: Uint8Array): Carried {
    const found = this.#tunnel.carrier.find(this.#packetsAt(place), inner, this.#secret);
    const where = `${place.device} of the ${called[place.host]}`;
    // TCP may have sent it twice.
    const others = found.filter(({ payload }) => !equalBytes(payload, found[0].payload)).length;
    verify(
      found.length > 0 && others === 0,
      `one payload that carries it on ${where}`,
      found.length === 0 ? "there is none" : `${others + 1} could`,
    );
    const [{ wrapping }] = found;
    const showing = wrapping.kind === "sealed" ? wrapping.showingPayload : 0;
    verify(showing === 0, "the ping's payload not to show in it", "it does");
    return found[0];
  }

  /** How the packet that came out of a tunnel was wrapped in what had come in. */
  #unwrap(outer: Uint8Array, inner: Uint8Array): Carried["wrapping"] {
    const [found] = this.#tunnel.carrier.find([outer], inner, this.#secret);
    verify(found !== undefined, "what came out of the tunnel to fit what had come in", "it does not");
    return found.wrapping;
  }

  /** That the destination was pinged by the server's own address: a reply to the client's leads nowhere. */
  #verifyTranslated(): void {
    const arrived = this.#sees({ host: "dns", device: "eth0", direction: "in" }, "request");
    const [server] = address.server;
    const source = summarisePacket(arrived)?.source;
    verify(
      source === server,
      `${destination} to see the ping come from the server, ${server}`,
      `it came from ${source}, to which the internet has no route`,
    );
  }

  #present(packet: Uint8Array | undefined, what: string, { host, device, direction }: Place): Uint8Array {
    const count = this.#packetsAt({ host, device, direction }).length;
    verify(
      packet !== undefined,
      `${what} to go ${direction} by ${device} of the ${called[host]}`,
      count === 0 ? "no packet did" : `it is not among the ${count} that did`,
    );
    return packet;
  }

  #packetsAt({ host, device, direction }: Place): Uint8Array[] {
    const capture = this.#captures.get(`${host} ${device}`);
    const packets = capture?.drain().filter(({ outgoing }) => outgoing === (direction === "out")) ?? [];
    return packets.map(({ bytes }) => bytes);
  }

  #route(host: HostName, target: string): RouteAnswer {
    const answer = askRoute(this.#bench.host(host), IpAddress.parse(target));
    verify(answer !== undefined, `the ${host} to have a route to ${target}`, "it has none");
    return answer;
  }
}

function destinationOf(packet: Uint8Array): string {
  return summarisePacket(packet)?.destination ?? "";
}

function bytesOf(hex: unknown): Uint8Array {
  return fromHex(String(hex)) ?? new Uint8Array(0);
}

function contains(bytes: Uint8Array, needle: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(needle);
}
