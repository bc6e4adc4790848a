/**
 * Both ends of the naive VPN (`programs/naive-peer.ts`), with what its reader would type by hand: addresses, a route,
 * forwarding and NAT. It speaks IPv4.
 */
import { Cidr } from "../base/address.ts";
import { fromBase64 } from "../base/bytes.ts";
import { gatewayTable, InstalledTable } from "../os/nftables.ts";
import { classicDevice, classicPort } from "./classic-end.ts";
import type { Host } from "./host.ts";
import { ownProgram, type Program, type ProgramEvent } from "./program.ts";
import { address } from "./topology.ts";
import type { Workbench } from "./workbench.ts";

const patienceMs = 15_000;
const tunnelNetwork = "10.8.0.0/24";

/** What one end read from TCP. */
export interface NaiveReads {
  /** The first reads, decoded, as they came. */
  readonly first: readonly Uint8Array[];
  readonly reads: number;
  /** How many of them the TUN device refused to take. */
  readonly refused: number;
}

export class NaivePair implements Disposable {
  readonly #server: Program;
  readonly #client: Program;
  readonly #table: Disposable;

  private constructor(server: Program, client: Program, table: Disposable) {
    this.#server = server;
    this.#client = client;
    this.#table = table;
  }

  static async start(bench: Workbench): Promise<NaivePair> {
    const [serverHost, clientHost] = [bench.host("server"), bench.host("client")];
    const server = serverHost.start(peer("server"));
    await server.event("listening", patienceMs);
    setUp(serverHost, address.tunnelServer[0]);
    serverHost.setForwarding(true);
    const layout = gatewayTable("naive", classicDevice, [Cidr.parse(tunnelNetwork)]);
    const table = serverHost.namespace.run(() => InstalledTable.install(layout));
    const client = clientHost.start(peer("client"));
    await Promise.all([server.event("connected", patienceMs), client.event("connected", patienceMs)]);
    const device = setUp(clientHost, address.tunnelClient[0]);
    clientHost.config.routes.add({ destination: Cidr.parse(address.dns[0]), device });
    return new NaivePair(server, client, table);
  }

  /** Ends both and says what the server read. */
  async end(): Promise<NaiveReads> {
    this.#server.signal("SIGINT");
    const event = (await this.#server.event("reads", patienceMs)) as ProgramEvent & ReadsEvent;
    this.#client.signal("SIGINT");
    await Promise.all([this.#server.end(patienceMs), this.#client.end(patienceMs)]);
    const bytes = fromBase64(event.bytes) ?? new Uint8Array(0);
    let at = 0;
    const first = event.lengths.map((length) => {
      at += length;
      return bytes.subarray(at - length, at);
    });
    return { first, reads: event.reads, refused: event.refused };
  }

  [Symbol.dispose](): void {
    this.#table[Symbol.dispose]();
  }
}

interface ReadsEvent {
  readonly lengths: readonly number[];
  readonly bytes: string;
  readonly reads: number;
  readonly refused: number;
}

function peer(role: "server" | "client"): string[] {
  return ownProgram("programs/naive-peer", role, address.server[0], String(classicPort), classicDevice);
}

/** Returns the device's index. */
function setUp(host: Host, own: string): number {
  const device = host.device(classicDevice);
  host.config.links.set(device, { up: true });
  host.config.addresses.add(device, Cidr.parse(`${own}/24`));
  return device;
}
