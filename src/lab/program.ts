/**
 * A program that runs on one of the lab's hosts, as a process of its own with ordinary sockets. What it writes is kept;
 * one that speaks in JSON lines can be waited on, event by event. It never outlives the lab: see `leash.ts`.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { extname } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { VpnError } from "../base/errors.ts";

export interface ProgramEnd {
  /** The exit status, or 128 and the signal's number as a shell has it. */
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** An object of a line of output; its `event` says which. */
export type ProgramEvent = Readonly<Record<string, unknown>> & { readonly event: string };

const running = new Set<Program>();
const signalNumbers: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

export class Program {
  readonly name: string;
  readonly ended: Promise<ProgramEnd>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #events: ProgramEvent[] = [];
  #output = "";
  #errors = "";
  #partial = "";
  #wake = Promise.withResolvers<void>();

  private constructor(name: string, child: ChildProcessByStdio<Writable, Readable, Readable>, input: string) {
    this.name = name;
    this.#child = child;
    running.add(this);
    child.stdin.on("error", () => {}); // a program may end without reading its input
    child.stdin.end(input);
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#errors += text;
      this.#wakeUp();
    });
    this.ended = this.#end();
  }

  /** Starts a command `inside` a host, where it stays. `input` is all of its standard input. */
  static start(inside: <T>(spawn: () => T) => T, command: readonly string[], input = ""): Program {
    const [file, ...parameters] = command;
    const child = inside(() => spawn(file, parameters, { env: environment(), stdio: ["pipe", "pipe", "pipe"] }));
    return new Program(file, child, input);
  }

  /** Kills every program of this process that still runs, and waits until they are gone. */
  static async killAll(): Promise<void> {
    const programs = [...running];
    for (const program of programs) program.signal("SIGKILL");
    await Promise.all(programs.map((program) => program.ended));
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The next event of this name. Throws `lab-step-failed` if the program ends first, or after `timeoutMs`. */
  event(name: string, timeoutMs: number): Promise<ProgramEvent> {
    return this.#find(() => {
      const at = this.#events.findIndex(({ event }) => event === name);
      return at < 0 ? undefined : this.#events.splice(at, 1)[0];
    }, timeoutMs);
  }

  /** The first line of what it writes that matches, written already or yet to come. Throws as `event` does. */
  line(pattern: RegExp, timeoutMs: number): Promise<string> {
    return this.#find(() => this.lines.find((line) => pattern.test(line)), timeoutMs);
  }

  /** The lines like this, as soon as there are so many of them. Throws as `event` does. */
  linesLike(pattern: RegExp, count: number, timeoutMs: number): Promise<readonly string[]> {
    return this.#find(() => {
      const found = this.lines.filter((line) => pattern.test(line));
      return found.length >= count ? found : undefined;
    }, timeoutMs);
  }

  /** What it has written so far, standard output first; an unfinished line is not among them. */
  get lines(): readonly string[] {
    return [this.#output, this.#errors].flatMap((text) => text.split("\n").slice(0, -1));
  }

  /** Waits for its end; kills it when that takes longer. */
  async end(timeoutMs: number): Promise<ProgramEnd> {
    const end = await within(timeoutMs, this.ended);
    if (end !== late) return end;
    this.signal("SIGKILL");
    return this.ended;
  }

  /** What `look` finds, asked again whenever there is more output. */
  async #find<T>(look: () => T | undefined, timeoutMs: number): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const wake = this.#wake.promise.then(() => undefined);
      const end = await within(deadline - performance.now(), Promise.race([wake, this.ended]));
      if (end === late) throw new VpnError("lab-step-failed", `it said nothing within ${timeoutMs} ms`);
      const last = end === undefined ? undefined : look();
      if (last !== undefined) return last;
      if (end !== undefined) {
        throw new VpnError("lab-step-failed", `it ended with status ${end.status}: ${lastLine(end)}`);
      }
    }
  }

  #read(text: string): void {
    this.#output += text;
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop() ?? "";
    for (const line of lines) {
      const event = parseEvent(line);
      if (event !== undefined) this.#events.push(event);
    }
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async #end(): Promise<ProgramEnd> {
    try {
      const [code, signal] = (await once(this.#child, "close")) as [number | null, NodeJS.Signals | null];
      const status = code ?? 128 + (signalNumbers[signal ?? ""] ?? 0);
      return { status, output: this.#output, errors: this.#errors };
    } catch (error) {
      return { status: 127, output: "", errors: error instanceof Error ? error.message : String(error) };
    } finally {
      running.delete(this);
    }
  }
}

/** Names the process to die with, for `leash.ts`. */
export const leashVariable = "WARREN_LAB_LEASH";

/** What every process of the lab finds in its environment. */
export function environment(): NodeJS.ProcessEnv {
  // What outlives a restart is kept on the host as well: the machine's /var/lib is not the lab's.
  return { ...process.env, LC_ALL: "C", WARREN_STATE_DIRECTORY: "/run/lasting", [leashVariable]: String(process.pid) };
}

/** The command that runs a file of this folder, such as `programs/sink`, in a Node of its own. */
export function ownProgram(name: string, ...parameters: readonly string[]): string[] {
  return leashed([...unleashed(name), ...parameters]);
}

/** The same for where another leash holds. */
export function unleashed(name: string): string[] {
  return [process.execPath, ...process.execArgv, fileOf(name)];
}

/** A command that starts Node, without a debugger for whom a signal is enough, and leashed before anything else runs. */
export function leashed([node, ...rest]: readonly string[]): string[] {
  return [node, "--disable-sigusr1", "--import", fileOf("leash"), ...rest];
}

/** The last line a program wrote to standard error, which is where it says what is wrong. */
export function lastLine(end: ProgramEnd): string {
  return end.errors.trim().split("\n").at(-1) || "it did not say why";
}

/** Sources end in `.ts`, what is published in `.js`. */
function fileOf(name: string): string {
  return fileURLToPath(new URL(`./${name}${extname(import.meta.filename)}`, import.meta.url));
}

function parseEvent(line: string): ProgramEvent | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    const isEvent = typeof value === "object" && value !== null && "event" in value && typeof value.event === "string";
    return isEvent ? (value as ProgramEvent) : undefined;
  } catch {
    return undefined;
  }
}

const late: unique symbol = Symbol("late");

/** What the promise resolves to, or `late`. */
async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T | typeof late> {
  const cancel = new AbortController();
  const timer = delay(Math.max(0, timeoutMs), late, { signal: cancel.signal }).catch(() => late);
  try {
    return await Promise.race([promise, timer as Promise<typeof late>]);
  } finally {
    cancel.abort();
  }
}
