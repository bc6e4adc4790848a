/** One end of the lab's tunnel: a `warren up` on a host, from its start to what it says when it ends. */
import { VpnError } from "../base/errors.ts";
import type { Host } from "./host.ts";
import { verify } from "./journal.ts";
import { lastLine, leashed, type Program } from "./program.ts";
import type { TunnelEnd, TunnelStart } from "./record.ts";
import { tunnelDevice } from "./topology.ts";

const readyTimeoutMs = 15_000; // one that cannot start says so at once; this is for a machine with much else to do
const stopTimeoutMs = 10_000;

export interface RunningTunnelOptions {
  readonly host: Host;
  /** The command that runs warren, to which arguments are added. */
  readonly warren: readonly string[];
  readonly config: string;
  readonly forward: boolean;
}

export class RunningTunnel {
  readonly #host: Host;
  readonly #program: Program;
  #end: Promise<TunnelEnd> | undefined;

  constructor({ host, warren, config, forward }: RunningTunnelOptions) {
    const parameters = ["up", "-", "--foreground", "--name", tunnelDevice, "--json"];
    this.#host = host;
    this.#program = host.start([...leashed(warren), ...parameters, ...(forward ? ["--forward"] : [])], config);
  }

  /** Resolves when packets can pass. */
  async ready(addresses: readonly string[]): Promise<TunnelStart> {
    const what = `warren up on the ${this.#host.name}`;
    const event = await this.#program.event("ready", readyTimeoutMs).catch((error: unknown) => {
      if (!(error instanceof VpnError)) throw error;
      verify(false, `${what} to be ready`, error.message);
    });
    const { port, mtu, aead, readyMs } = event as unknown as TunnelStart;
    return { addresses, port, mtu, aead, readyMs };
  }

  /** Ends it as Ctrl-C would, and says how it went. Asked again, it says the same. */
  stop(): Promise<TunnelEnd> {
    this.#end ??= this.#stop();
    return this.#end;
  }

  async #stop(): Promise<TunnelEnd> {
    const what = `warren up on the ${this.#host.name} to end and say so`;
    this.#program.signal("SIGINT");
    const end = await this.#program.end(stopTimeoutMs);
    verify(end.status === 0, what, `its exit status is ${end.status}: ${lastLine(end)}`);
    const stopped = (await this.#program.event("stopped", 0)) as unknown as Stopped;
    const [peer] = stopped.peers;
    const { name } = this.#host;
    verify(this.#host.config.links.find(tunnelDevice) === undefined, what, `${tunnelDevice} is still there`);
    return { host: name, sentBytes: peer.sentBytes, receivedBytes: peer.receivedBytes, drops: stopped.drops };
  }
}

/** The event with which `warren up --json` ends. */
interface Stopped {
  readonly peers: readonly { readonly sentBytes: number; readonly receivedBytes: number }[];
  readonly drops: Readonly<Record<string, number>>;
}
