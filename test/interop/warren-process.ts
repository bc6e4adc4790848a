/** The product's own command in a host: `warren up FILE --foreground --json`, its file handed over on standard input. */
import { fileURLToPath } from "node:url";
import type { TunnelStatus } from "../../src/tunnel/tunnel-status.ts";
import type { Machine, Outcome, Program } from "./machine.ts";
import { within } from "./patience.ts";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

const endPatienceMs = 30_000;

/** The command that runs `warren` from this checkout. */
export function warrenCommand(nodeArguments: readonly string[], ...parameters: readonly string[]): string[] {
  return [process.execPath, ...nodeArguments, main, ...parameters];
}

export interface WarrenOptions {
  /** More arguments for `warren up`. */
  readonly arguments?: readonly string[];
  readonly nodeArguments?: readonly string[];
  /** More environment variables. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether it has a /run/wireguard of its own: else control sockets of all hosts lie in one folder, by name. */
  readonly ownSockets?: boolean;
}

/** Runs a command with an empty /run/wireguard of its own. */
export const withOwnSockets: readonly string[] = [
  ...["unshare", "--mount", "sh", "-c"],
  'mkdir -p /run/wireguard && mount -t tmpfs none /run/wireguard && exec "$@"',
  "sh",
];

export interface Stopped extends Outcome {
  /** From what ended it to the end of the process. */
  readonly elapsedMs: number;
  /** What it said of itself as the last thing; undefined if it said nothing. */
  readonly status: TunnelStatus | undefined;
}

export class WarrenProcess {
  readonly name: string;
  readonly port: number;
  readonly program: Program;

  /** Brings up an interface from the text of a wg-quick file, and waits until it is ready. */
  static async start(host: Machine, name: string, config: string, options: WarrenOptions = {}): Promise<WarrenProcess> {
    const command = warrenCommand(
      options.nodeArguments ?? [],
      ...["up", "-", "--name", name, "--foreground", "--json", ...(options.arguments ?? [])],
    );
    const environment = [
      "env",
      ...Object.entries(options.environment ?? {}).map(([name, value]) => `${name}=${value}`),
    ];
    const sockets = options.ownSockets === true ? withOwnSockets : [];
    const program = host.start([...sockets, ...environment, ...command], config);
    const { port } = JSON.parse(await program.line(/"event":"ready"/));
    return new WarrenProcess(program, name, port);
  }

  private constructor(program: Program, name: string, port: number) {
    this.program = program;
    this.name = name;
    this.port = port;
  }

  /** Ends it by a signal. */
  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Stopped> {
    return this.endedBy(() => this.program.kill(signal));
  }

  /** Does what should end it, and waits for the end. */
  async endedBy(action: () => void): Promise<Stopped> {
    const begun = performance.now();
    action();
    const outcome = await within(endPatienceMs, "the end of warren", this.program.outcome);
    const elapsedMs = performance.now() - begun;
    const last = /^\{"event":"stopped".*$/m.exec(outcome.stdout)?.[0];
    return { ...outcome, elapsedMs, status: last === undefined ? undefined : JSON.parse(last) };
  }
}
