/** One end of the seed's VPN: a `warren classic` on a host, from its start to its end. */
import { VpnError } from "../base/errors.ts";
import type { Host } from "./host.ts";
import { verify } from "./journal.ts";
import { lastLine, leashed, type Program } from "./program.ts";
import type { TunnelEnd } from "./record.ts";
import { address, drawing } from "./topology.ts";
import type { Workbench } from "./workbench.ts";

export const classicDevice = "tun0";
export const classicPort = 5555;
/** The lab's drawing, with the naive VPN's tunnel in place of WireGuard's. */
export const classicDrawing: readonly string[] = [
  ...drawing.slice(0, -2),
  "tun0 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ XOR over TCP, port 5555 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ tun0",
  "10.8.0.2                                                       10.8.0.1",
];
const readyTimeoutMs = 15_000; // one that cannot start says so at once; this is for a machine with much else to do
const stopTimeoutMs = 10_000;

interface ServerChoices {
  readonly nat?: boolean;
  readonly verbose?: boolean;
}

interface ClientChoices {
  readonly route?: boolean;
  readonly verbose?: boolean;
}

export class ClassicEnd {
  readonly #host: Host;
  readonly #program: Program;

  private constructor(bench: Workbench, name: "client" | "server", parameters: readonly string[]) {
    this.#host = bench.host(name);
    this.#program = this.#host.start([
      ...leashed(bench.warren),
      "classic",
      name,
      "--tun",
      classicDevice,
      ...parameters,
    ]);
    bench.endLater(this);
  }

  /** The seed's server on the server host: it forwards what clients send, under the server's address. */
  static serve(bench: Workbench, { nat = true, verbose = false }: ServerChoices = {}): ClassicEnd {
    const listen = ["--listen", `${address.server[0]}:${classicPort}`, "--i-know-this-is-not-encryption"];
    const own = ["--address", `${address.tunnelServer[0]}/24`, ...(nat ? ["--nat"] : [])];
    return new ClassicEnd(bench, "server", [...listen, ...own, ...(verbose ? ["--verbose"] : [])]);
  }

  /** The seed's client on the client host, with a route to 8.8.8.8 alone. */
  static connect(bench: Workbench, { route = true, verbose = false }: ClientChoices = {}): ClassicEnd {
    const own = ["--address", `${address.tunnelClient[0]}/24`, ...(route ? ["--route", `${address.dns[0]}/32`] : [])];
    const all = [`${address.server[0]}:${classicPort}`, ...own, ...(verbose ? ["--verbose"] : [])];
    return new ClassicEnd(bench, "client", all);
  }

  /** All that it has said so far, on standard output and then on standard error. */
  get lines(): readonly string[] {
    return this.#program.lines;
  }

  /** Resolves with the line in which it says so, when the interface is up. */
  ready(): Promise<string> {
    return this.#says(/ is up, /);
  }

  /** Resolves when it has said a line like this so often. */
  saidOften(count: number, pattern: RegExp): Promise<readonly string[]> {
    return this.#program.linesLike(pattern, count, readyTimeoutMs);
  }

  /** Resolves when the connection to the other end stands. */
  connected(): Promise<string> {
    return this.#says(/: connected$/);
  }

  /** Ends it as Ctrl-C would. */
  async stop(): Promise<TunnelEnd> {
    const what = `warren classic on the ${this.#host.name} to end`;
    this.#program.signal("SIGINT");
    const end = await this.#program.end(stopTimeoutMs);
    verify(end.status === 0, what, `its exit status is ${end.status}: ${lastLine(end)}`);
    verify(this.#host.config.links.find(classicDevice) === undefined, what, `${classicDevice} is still there`);
    return { host: this.#host.name, sentBytes: null, receivedBytes: null, drops: {} };
  }

  async #says(pattern: RegExp): Promise<string> {
    return await this.#program.line(pattern, readyTimeoutMs).catch((error: unknown) => {
      if (!(error instanceof VpnError)) throw error;
      verify(false, `warren classic on the ${this.#host.name} to say ${pattern}`, error.message);
    });
  }
}
