/**
 * `--shell`: the learner's own shell on the client, with the tunnel up. It is in the client's network namespace, sees a
 * resolv.conf and a hosts file of the lab's, and runs under process numbers of its own (pid_namespaces(7)), so that
 * whatever it leaves running ends with it. It ends with the lab, however the lab ends.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdirSync, readlinkSync, realpathSync, writeFileSync, writeSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { isatty } from "node:tty";
import { VpnError } from "../base/errors.ts";
import { mountFile } from "../os/mount-namespace.ts";
import type { Host } from "./host.ts";
import { round, verify } from "./journal.ts";
import { privilege } from "./privilege.ts";
import { environment, ownProgram, unleashed } from "./program.ts";
import { inputDescriptor } from "./sandbox.ts";
import { describeShell, type ShellSteps, suggestions } from "./shell-account.ts";
import { address } from "./topology.ts";
import type { Workbench } from "./workbench.ts";

export interface ShellTunnel {
  /** Its interface on the client. */
  readonly device: string;
  /** What carries its packets, as tcpdump puts it. */
  readonly carrier: string;
}

/** In the client's /run, which is a file system in memory of its own. */
const folder = "/run/shell";
const prompt = "[client, VPN up] ";
const [nameServer] = address.dns;

/** Resolves when the shell has ended. Its exit status is no finding. */
export async function openShell(bench: Workbench, tunnel: ShellTunnel): Promise<ShellSteps["shell"]> {
  const client = bench.host("client");
  const program = findShell();
  const hasNames = client.files.run(() => writeFiles(bench));
  const known = suggestions(tunnel.device, tunnel.carrier).filter(
    ({ needs, root }) =>
      needs.every(isInstalled) && (hasNames || !needs.includes("getent")) && (!root || privilege() === "root"),
  );
  writeSync(bench.output, describeShell(program, known));

  const start = performance.now();
  const options = processOptions(client);
  const terminal = isatty(inputDescriptor);
  const shell = [program, ...(terminal && basename(program) === "bash" ? ["--rcfile", `${folder}/bashrc`] : [])];
  const inner = terminal ? [...unleashed("programs/become"), "--foreground", ...shell] : shell;
  const command = ownProgram("programs/become", findProgram("unshare"), ...options, "--", ...inner);
  const child = client.inside(() =>
    spawn(command[0], command.slice(1), {
      env: { ...environment(), PATH: `${folder}:${process.env.PATH ?? ""}`, PS1: `${prompt}$ ` },
      stdio: [inputDescriptor, bench.output, 2],
    }),
  );
  const [status, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  verify(status !== null, "the shell to be left", `it was ended by ${signal}`);
  return {
    program,
    terminal,
    status,
    seconds: round((performance.now() - start) / 1000),
    nameServer: hasNames ? nameServer : null,
  };
}

/** The files that the shell finds, in the client's mount namespace. Returns whether names can be asked for. */
function writeFiles({ warren }: Workbench): boolean {
  mkdirSync(folder);
  const own = (name: string, lines: readonly string[], mode = 0o644) =>
    writeFileSync(join(folder, name), `${lines.join("\n")}\n`, { mode });
  own("warren", ["#!/bin/sh", `exec ${warren.map(quote).join(" ")} "$@"`], 0o755);
  own("bashrc", ["[ -f ~/.bashrc ] && . ~/.bashrc", `PS1='${prompt}\\w \\$ '`]);
  own("resolv.conf", [`nameserver ${nameServer}`]);
  own("hosts", [
    "127.0.0.1 localhost",
    "::1 localhost",
    ...(["client", "home", "server", "dns"] as const).flatMap((name) =>
      address[name].map((found) => `${found} ${name}`),
    ),
  ]);
  return [
    replaceFile("/etc/resolv.conf", join(folder, "resolv.conf")),
    replaceFile("/etc/hosts", join(folder, "hosts")),
  ].every(Boolean);
}

/** Puts a file of ours in the place of the machine's; false where that has none. */
function replaceFile(path: string, own: string): boolean {
  try {
    mountFile(own, realpathSync(path));
    return true;
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
  }
  try {
    // A link into /run, where a resolver of the machine's wrote it: on the client there is no such file yet.
    const target = resolve(dirname(path), readlinkSync(path));
    if (!target.startsWith("/run/")) return false;
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, "");
    mountFile(own, target);
    return true;
  } catch {
    return false;
  }
}

/** The options of unshare(1): where /proc cannot be mounted anew, `ps` shows the machine's processes. */
function processOptions(client: Host): string[] {
  const numbers = ["--pid", "--fork", "--kill-child=SIGKILL"];
  const withProc = [...numbers, "--mount-proc"];
  const works = client.inside(() => spawnSync("unshare", [...withProc, "--", "true"]).status === 0);
  return works ? withProc : numbers;
}

function findShell(): string {
  const wanted = process.env.SHELL ?? "";
  const isShell = wanted.startsWith("/") && !/\/(nologin|false)$/.test(wanted) && isExecutable(wanted);
  return isShell ? wanted : "/bin/sh";
}

function isInstalled(program: string): boolean {
  return folders().some((path) => isExecutable(join(path, program)));
}

function findProgram(program: string): string {
  const found = folders()
    .map((path) => join(path, program))
    .find(isExecutable);
  if (found === undefined) throw new VpnError("not-available", `the lab needs the program ${program}`);
  return found;
}

function folders(): string[] {
  return (process.env.PATH ?? "").split(":").filter((path) => path.startsWith("/"));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
