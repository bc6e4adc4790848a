/**
 * A host that runs programs. Each is killed when its host is disposed of, and by the kernel when the test process ends,
 * however it ends: a failing test leaves nothing behind.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { within } from "./patience.ts";
import { Host } from "./small-network.ts";

/** What became of a program. `code` is null where a signal ended it. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Program {
  readonly pid: number;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<Outcome>;
  #stdout = "";
  #stderr = "";

  /** Takes over a child that has just been spawned. */
  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, input: string | undefined) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => {
      this.#stdout += `${line}\n`;
    });
    this.#lines = lines[Symbol.asyncIterator]();
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    child.stdin.on("error", () => undefined); // it need not read its input
    if (input !== undefined) child.stdin.end(input);
    this.#ended = once(child, "close").then(([code, signal]) => ({
      code,
      signal,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  /** The next line of its output that fits. Throws, with all it said, if it ends instead or takes longer. */
  async line(pattern: RegExp, patienceMs = 30_000): Promise<string> {
    for (;;) {
      const what = () =>
        `${this.#child.spawnargs.join(" ")} to print ${pattern}; it said: ${this.#stdout}${this.#stderr}`;
      const { value, done } = await within(patienceMs, what, this.#lines.next());
      if (done === true) throw new Error(`${this.#child.spawnargs.join(" ")} ended: ${describe(await this.#ended)}`);
      if (pattern.test(value)) return value;
    }
  }

  /** Waits until it has said on standard error what fits. Throws, with all it said, if that takes longer. */
  async complains(pattern: RegExp, patienceMs = 30_000): Promise<void> {
    const what = () => `${this.#child.spawnargs.join(" ")} to say ${pattern}; it said: ${this.#stdout}${this.#stderr}`;
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => pattern.test(this.#stderr) && resolve();
    this.#child.stderr.on("data", look);
    look();
    await within(patienceMs, what, promise);
    this.#child.stderr.off("data", look);
  }

  write(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it has ended and its output is read. */
  get outcome(): Promise<Outcome> {
    return this.#ended;
  }

  /** Resident memory in bytes. */
  get residentBytes(): number {
    const kilobytes = /VmRSS:\s*([0-9]+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))?.[1];
    return 1024 * Number(kilobytes);
  }
}

export class Machine extends Host {
  readonly #programs: Program[] = [];

  /** Starts a program inside. `input`, where given, is all of its standard input. */
  start(command: readonly string[], input?: string): Program {
    const child = this.namespace.run(() =>
      spawn("setpriv", ["--pdeathsig", "KILL", "--", ...command], { stdio: ["pipe", "pipe", "pipe"] }),
    );
    const program = new Program(child, input);
    this.#programs.push(program);
    return program;
  }

  /** Runs a program to its end. Throws, with all it said, if it fails. */
  async run(...command: readonly string[]): Promise<string> {
    const outcome = await this.start(command).outcome;
    if (outcome.code === 0) return outcome.stdout;
    throw new Error(`${command.join(" ")} failed: ${describe(outcome)}`);
  }

  /** A file of /proc as it reads inside, such as `net/snmp6`. */
  proc(path: string): string {
    return this.namespace.run(() => readFileSync(`/proc/thread-self/${path}`, "utf8"));
  }

  override [Symbol.dispose](): void {
    for (const program of this.#programs) program.kill("SIGKILL");
    super[Symbol.dispose]();
  }
}

function describe({ code, signal, stdout, stderr }: Outcome): string {
  return `exit ${signal ?? code}\n${stdout}${stderr}`;
}
