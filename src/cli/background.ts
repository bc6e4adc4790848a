/**
 * Commands that go on in the background. The parent starts the very same command again, apart from its terminal, and
 * waits until that one says it is of use; meanwhile it passes on what it prints. A command that fails before has failed
 * for the caller, with its own words and status.
 *
 * What goes on holds nothing of the caller's: no terminal, pipe or file but a log, no working folder, no session, and
 * none of the other descriptors that the caller left open, a lock among them.
 *
 *     if (isForeground || inBackground()) await serve(); else process.exitCode = await runInBackground();
 *
 * and `serve` calls `await leaveCaller()` when it is of use.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { getSystemErrorMessage } from "node:util";
import { VpnError } from "../base/errors.ts";

/** Names the descriptor on which the child says that it is of use. */
const readyVariable = "WARREN_READY_FD";
const closeOnExec = 0o2000000;
/** For what was printed before the child was ready; a process that it started may hold the pipe for ever. */
const lastWordsMs = 100;

export interface BackgroundOptions {
  /** Descriptors that are handed on under their numbers. */
  readonly descriptors?: readonly number[];
  /** Whether output stays where it is a regular file. */
  readonly keepsLog?: boolean;
  /** Whether the command reads standard input before it is of use. */
  readonly readsInput?: boolean;
}

/** Of the child, until it has told that it is of use. What it starts in turn, such as a hook, is not to inherit it. */
let readyDescriptor = process.env[readyVariable];
delete process.env[readyVariable];

/** Whether this is the command that the parent started, and that waits for it still. */
export function inBackground(): boolean {
  return readyDescriptor !== undefined;
}

/**
 * Starts this command again. Resolves with its exit status: 0 once it is of use, or that of its early end; where a signal
 * came first, once the child has ended, 128 and the signal's number as a shell has it.
 */
export async function runInBackground(options: BackgroundOptions = {}): Promise<number> {
  const { descriptors = [], keepsLog = false, readsInput = false } = options;
  const nothing = openSync("/dev/null", "r+");
  const stdio: ("ignore" | "inherit" | "pipe" | number)[] = [readsInput ? "inherit" : "ignore"];
  for (const fd of [1, 2]) stdio[fd] = keepsLog && isFile(fd) ? "inherit" : "pipe";
  for (const fd of inherited()) stdio[fd] = descriptors.includes(fd) ? fd : nothing;
  for (const fd of descriptors) stdio[fd] = fd;
  let readyAt = 3;
  while (descriptors.includes(readyAt)) readyAt++;
  stdio[readyAt] = "pipe";
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true, // a session of its own
    env: { ...process.env, [readyVariable]: String(readyAt) },
    stdio: Array.from(stdio, (entry) => entry ?? "ignore"),
  });
  closeSync(nothing);
  if (child.pid === undefined) throw notStarted(await once(child, "error"));
  return await outcome(child, child.stdio[readyAt] as Readable);
}

/** In the child: lets go of everything that is the caller's, and lets the parent end. Throws if that is gone already. */
export async function leaveCaller(): Promise<void> {
  const ready = Number(readyDescriptor);
  readyDescriptor = undefined;
  const { releaseStandardStreams } = await import("../os/process.ts");
  process.chdir("/");
  releaseStandardStreams();
  try {
    writeSync(ready, "\n");
  } catch (error) {
    throw new VpnError("not-available", "whoever started this has not waited for it", { cause: error });
  } finally {
    closeSync(ready);
  }
}

function notStarted([error]: readonly NodeJS.ErrnoException[]): VpnError {
  const why = error.errno === undefined ? error.message : getSystemErrorMessage(error.errno);
  const remedy = error.code === "EMFILE" ? "raise the limit (ulimit -n), or use --foreground" : "use --foreground";
  return new VpnError("not-available", `cannot go on in the background: ${why}`, { remedy, cause: error });
}

async function outcome(child: ChildProcess, ready: Readable): Promise<number> {
  let asked: NodeJS.Signals | undefined;
  const stop = (signal: NodeJS.Signals) => {
    asked ??= signal;
    child.kill("SIGTERM");
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stop);
  const printed = [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const;
  const said = printed.flatMap(([from, to]) =>
    from === null
      ? []
      : once(
          from.on("data", (text) => to.write(text)),
          "end",
        ),
  );
  const exited = once(child, "exit") as Promise<[number | null]>;
  const isReady = once(ready, "data").then(() => true);
  const end = await Promise.race([isReady, exited]);
  if (asked !== undefined) await exited; // it may have become of use meanwhile, and is to end all the same
  await Promise.race([Promise.all(said), delay(lastWordsMs)]);
  for (const signal of signals) process.off(signal, stop);
  child.unref();
  for (const stream of [child.stdout, child.stderr, ready]) stream?.destroy();
  if (asked !== undefined) {
    console.error("warren: interrupted");
    return 128 + constants.signals[asked];
  }
  return end === true ? 0 : ((end as [number | null])[0] ?? 1);
}

/** Descriptors beyond standard error that a new program would inherit. Node has marked the first few, not all. */
function inherited(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => fd > 2 && isInherited(fd));
}

function isInherited(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0;
  } catch {
    return false; // it was the one that listed the others
  }
}

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
  }
}
