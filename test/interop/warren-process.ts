/** The product's own command in a host: `warren up FILE --foreground --json`, its file handed over on standard input. */
import { fileURLToPath } from "node:url";
import type { TunnelStatus } from "../../src/tunnel/tunnel.ts";
import type { Machine, Outcome, Program } from "./machine.ts";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** The command that runs `warren` from this checkout. */
export const warren: readonly string[] = [process.execPath, main];

export interface Stopped extends Outcome {
  /** From the signal to the end of the process. */
  readonly elapsedMs: number;
  /** What it said of itself as the last thing; undefined if it said nothing. */
  readonly status: TunnelStatus | undefined;
}

export class WarrenProcess {
  readonly name: string;
  readonly port: number;
  readonly program: Program;

  /** Brings up an interface from the text of a wg-quick file, and waits until it is ready. */
  static async start(host: Machine, name: string, config: string, ...more: string[]): Promise<WarrenProcess> {
    const program = host.start([...warren, "up", "-", "--name", name, "--foreground", "--json", ...more], config);
    const { port } = JSON.parse(await program.line(/"event":"ready"/));
    return new WarrenProcess(program, name, port);
  }

  private constructor(program: Program, name: string, port: number) {
    this.program = program;
    this.name = name;
    this.port = port;
  }

  /** Ends it by a signal. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Stopped> {
    const begun = performance.now();
    this.program.kill(signal);
    const outcome = await this.program.outcome;
    const elapsedMs = performance.now() - begun;
    const last = /^\{"event":"stopped".*$/m.exec(outcome.stdout)?.[0];
    return { ...outcome, elapsedMs, status: last === undefined ? undefined : JSON.parse(last) };
  }
}
