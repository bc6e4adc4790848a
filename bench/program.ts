/** A child process inside one of the hosts, ended when its owner is done with it, when the bench is interrupted, or both. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { VpnError } from "../src/base/errors.ts";
import type { NetworkNamespace } from "../src/os/namespace.ts";

/** USER_HZ, which Linux keeps at 100 for programs whatever its own clock does. */
const ticksPerSecond = 100;
/** Long enough for a machine that is busy with other things. */
const patienceMs = 20_000;

export class Program implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #name: string;
  readonly #lines: AsyncIterator<string>;
  readonly #closed: Promise<void>;
  #stderr = "";
  #exitCode: number | null = null;

  /** Starts a program in the namespace. `signal` kills it. `environment` is added to our own. */
  constructor(
    namespace: NetworkNamespace,
    command: readonly string[],
    signal: AbortSignal,
    environment: Readonly<Record<string, string>> = {},
  ) {
    const [file, ...parameters] = command;
    const env = { ...process.env, ...environment };
    this.#name = file;
    this.#child = namespace.run(() =>
      spawn(file, parameters, { env, stdio: ["pipe", "pipe", "pipe"], signal, killSignal: "SIGKILL" }),
    );
    this.#child.on("error", () => undefined); // the exit tells as much
    this.#child.stdin.on("error", () => undefined);
    this.#child.stderr.on("data", (data: Buffer) => {
      this.#stderr += data.toString();
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#closed = once(this.#child, "close").then(
      ([code]: unknown[]) => {
        this.#exitCode = typeof code === "number" ? code : null;
      },
      () => undefined,
    );
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  write(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** The next line of its output. Throws if it ends instead. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done !== true) return value;
    await this.#closed;
    throw this.#failure();
  }

  /** All further output, once the program has ended well. Throws if it failed. */
  async output(): Promise<string> {
    let text = "";
    for (let next = await this.#lines.next(); next.done !== true; next = await this.#lines.next()) {
      text += `${next.value}\n`;
    }
    await this.#closed;
    if (this.#exitCode !== 0) throw this.#failure(text);
    return text;
  }

  /** Waits until `isReady`, looking again every few milliseconds. Throws if the program ends, or after twenty seconds. */
  async until(isReady: () => boolean): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (!isReady()) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null || performance.now() > deadline) {
        throw this.#failure();
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Whether a TCP port is listened on in the program's namespace. */
  listensOn(port: number): boolean {
    const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
    const tables = ["tcp", "tcp6"].map((name) => readFileSync(`/proc/${this.pid}/net/${name}`, "utf8")).join("\n");
    return tables.split("\n").some((line) => line.includes(local) && / 0A /.test(line));
  }

  /** Resident memory, in bytes. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return 1024 * Number(/VmRSS:\s*([0-9]+) kB/.exec(status)?.[1]);
  }

  /** Processor time so far, of all its threads, those that have ended included. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the third field comes first: proc_pid_stat(5)
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 2000);
    await this.#closed;
    clearTimeout(timer);
  }

  #failure(output = ""): VpnError {
    const lines = (this.#stderr.trim() || output.trim()).split("\n");
    const said = (
      lines.find((line) => /^\s*("error"|\w*Error|\w+: error)/.test(line)) ?? lines[lines.length - 1]
    ).trim();
    return new VpnError("not-available", `${this.#name} failed${said === "" ? "" : `: ${said}`}`);
  }
}
