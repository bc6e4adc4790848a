/**
 * What a stage works with: the hosts, the command that runs warren, pings, tunnels and whatever else has to end when the
 * stage does. It outlives none of them.
 */
import { randomBytes } from "node:crypto";
import { VpnError } from "../base/errors.ts";
import type { Host } from "./host.ts";
import { verify } from "./journal.ts";
import { Network } from "./network.ts";
import { findPing, type PingRequest, ping } from "./ping-run.ts";
import { Program } from "./program.ts";
import type { FrameSteps, PingRun, TunnelEnd } from "./record.ts";
import { RunningTunnel } from "./running-tunnel.ts";
import type { HostName, Topology } from "./topology.ts";

/** How a run goes: the stage's own steps, or with one of the command's options of these names. */
export type Mode = "proof" | "trace" | "shell";

/** A tunnel that is up, and can be asked to end. */
export interface Ending {
  stop(): Promise<TunnelEnd>;
}

export interface WorkbenchOptions {
  /** The command that runs warren. */
  readonly warren: readonly string[];
  /** What to damage: one of the stage's breakages. */
  readonly broken?: string | undefined;
  readonly mode: Mode;
  /** Standard output, or standard error where the record goes to standard output. */
  readonly output?: 1 | 2;
}

export interface TunnelRequest {
  readonly host: HostName;
  /** In wg-quick's format. */
  readonly config: string;
  /** Whether it forwards what comes out of the tunnel, under the host's own addresses. */
  readonly forward?: boolean;
}

export class Workbench {
  readonly warren: readonly string[];
  readonly broken: string | undefined;
  readonly mode: Mode;
  /** The descriptor on which a stage may speak to whoever sits before the lab, in the middle of a step. */
  readonly output: 1 | 2;
  /** 16 bytes of this run, in hexadecimal, which fill the payload of its pings. */
  readonly pattern: string = randomBytes(16).toString("hex");
  readonly #installedPing = findPing();
  readonly #endings: Ending[] = [];
  #network: Network | undefined;

  constructor({ warren, broken, mode, output = 1 }: WorkbenchOptions) {
    this.warren = warren;
    this.broken = broken;
    this.mode = mode;
    this.output = output;
  }

  build(topology: Topology): FrameSteps["topology"] {
    this.#network = new Network(topology);
    return { hosts: topology.hosts.length, links: topology.links.length };
  }

  /** Throws `invalid-argument` where the stage's topology has no such host. */
  host(name: HostName): Host {
    if (this.#network === undefined) throw new VpnError("invalid-argument", "the lab is not built");
    return this.#network.host(name);
  }

  /** Pings with the machine's own program where there is one, and this run's pattern. */
  async ping(from: HostName, request: Omit<PingRequest, "pattern">): Promise<PingRun> {
    return ping(this.host(from), await this.#installedPing, { ...request, pattern: this.pattern });
  }

  /** Starts `warren up` on a host, for the teardown to end. */
  startTunnel({ host, config, forward = false }: TunnelRequest): RunningTunnel {
    return this.endLater(new RunningTunnel({ host: this.host(host), warren: this.warren, config, forward }));
  }

  /** Leaves something to the teardown, which ends all at once. */
  endLater<T extends Ending>(ending: T): T {
    this.#endings.push(ending);
    return ending;
  }

  /**
   * Asks everything to end. All are told before the first complaint, which is thrown. What is not a tunnel is killed, and
   * nothing may be left that runs on a host.
   */
  async stop(): Promise<FrameSteps["teardown"]> {
    const ends = await Promise.allSettled(this.#endings.map((ending) => ending.stop()));
    const tunnels = ends.map((end) => {
      if (end.status === "rejected") throw end.reason;
      return end.value;
    });
    await Program.killAll();
    const left = this.#network?.inhabitants() ?? [];
    verify(left.length === 0, "no process to be left on a host", `there are ${left.join(", ")}`);
    return { tunnels };
  }

  /** Ends all that is left, however far it came. */
  async clear(): Promise<void> {
    await Program.killAll();
    this.#network?.[Symbol.dispose]();
  }
}
