/**
 * Runs a command in a network namespace of its own, as root of the machine or, for an ordinary user, of a new user
 * namespace. `unshare` (util-linux) does it: a process with threads, as Node is, cannot enter a user namespace.
 *
 * The command ends with this process: it is told so on signals, its standard input reaches its end, and it has the
 * kernel kill it when this process is killed (`enterSandbox`).
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { isatty } from "node:tty";
import { VpnError } from "../base/errors.ts";
import { dieWithParent, mountPrivateRun } from "../os/process.ts";

const graceMs = 700;
const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** Where a command finds this process's standard input: its own reaches its end when this process does. */
export const inputDescriptor = 3;

export interface SandboxOptions {
  /** Told at once of the first signal that asks for an end. */
  readonly onInterrupt?: () => void;
  /** Whether the command reads this process's standard input, as `inputDescriptor`. */
  readonly input?: boolean;
}

/**
 * Runs it to its end, on this process's output. Returns its exit status, or 128 and the number of the first signal we
 * got.
 */
export async function runInSandbox(
  command: readonly string[],
  { onInterrupt = () => {}, input = false }: SandboxOptions = {},
): Promise<number> {
  const child = spawn("unshare", [...findWay(), "--", ...command], {
    stdio: ["pipe", "inherit", "inherit", ...(input ? [0] : [])],
    // So that Ctrl-C reaches this process alone, which passes it on; but a shell's terminal stays that of its session.
    detached: !(input && isatty(0)),
  });
  let received = 0;
  for (const [signal, number] of Object.entries(signals) as [NodeJS.Signals, number][]) {
    process.once(signal, () => {
      if (received !== 0) return;
      received = number;
      onInterrupt();
      child.kill("SIGTERM");
      setTimeout(() => child.kill("SIGKILL"), graceMs).unref();
    });
  }
  const [status, signal] = (await once(child, "exit")) as [number | null, string | null];
  if (received !== 0) return 128 + received;
  if (status === null) throw new VpnError("lab-step-failed", `the lab was ended by ${signal}`);
  return status;
}

/**
 * First thing inside: ties this process to the outer one, whose id it was told, and gives it a /run of its own.
 * `onEnd` is called when the outer one wants an end, or is gone. Disposing of the result unties it.
 */
export function enterSandbox(outer: number, onEnd: () => void): Disposable {
  dieWithParent(outer);
  mountPrivateRun();
  process.once("SIGTERM", onEnd);
  process.once("SIGINT", onEnd);
  process.stdin.once("end", onEnd).resume();
  process.stdout.once("error", onEnd); // nobody reads any more
  return {
    [Symbol.dispose]() {
      process.stdin.off("end", onEnd).destroy();
    },
  };
}

/** The arguments with which `unshare` works here. Throws `not-permitted`, with what would have to change. */
function findWay(): string[] {
  const asUser = ["--user", "--map-root-user", "--net", "--mount"];
  const ways = process.getuid?.() === 0 ? [["--net", "--mount"], asUser] : [asUser];
  let complaint = "";
  for (const way of ways) {
    const { error, status, stderr } = spawnSync("unshare", [...way, "--", "unshare", "--version"], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C" },
    });
    if (error !== undefined) {
      const remedy = "install util-linux, or run where it is on the PATH";
      throw new VpnError("not-available", "the lab needs the program unshare", { remedy, cause: error });
    }
    if (status === 0) return way;
    complaint = explain(stderr.trim().split("\n").at(-1) ?? "");
  }
  throw new VpnError("not-permitted", `namespaces are forbidden here (${complaint})`, { remedy: remedy(complaint) });
}

const limited = "their number is limited";

/** The kernel says ENOSPC where it means the limit on the number of namespaces (kernel/ucount.c). */
function explain(complaint: string): string {
  const why = complaint.replace(/^unshare: (unshare failed: )?/, "");
  return why === "No space left on device" ? limited : why;
}

/** Which of the parameters that can forbid user namespaces does. */
function remedy(complaint: string): string {
  const wanted = [
    { parameter: "kernel.unprivileged_userns_clone", forbids: "0", allow: "1" },
    { parameter: "kernel.apparmor_restrict_unprivileged_userns", forbids: "1", allow: "0" },
    { parameter: "user.max_user_namespaces", forbids: "0", allow: "1000" },
    { parameter: "user.max_net_namespaces", forbids: "0", allow: "1000" },
  ];
  const guilty = wanted.filter(({ parameter, forbids }) => readParameter(parameter) === forbids);
  if (guilty.length > 0) {
    const commands = guilty.map(({ parameter, allow }) => `${parameter}=${allow}`).join(" ");
    return `allow them with \`sysctl -w ${commands}\`, or run as root`;
  }
  if (complaint === limited) return "raise `user.max_user_namespaces` and `user.max_net_namespaces` with sysctl";
  return "run as root; in a container, start that with --privileged or --security-opt seccomp=unconfined --cap-add SYS_ADMIN --cap-add NET_ADMIN";
}

function readParameter(parameter: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${parameter.replaceAll(".", "/")}`, "utf8").trim();
  } catch {
    return undefined; // this kernel does not have it
  }
}
