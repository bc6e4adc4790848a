/**
 * The programs through which a machine is told of resolvers: resolvconf(8), and resolvectl(1) of systemd-resolved. They
 * are run with lists of arguments, without a shell.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { InterfaceConfig } from "../os/interface-config.ts";

const timeoutMs = 10_000;
const usualFolders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** What a tunnel asks of the machine's name resolution. */
export interface ResolverSetting {
  readonly resolvers: readonly IpAddress[];
  readonly searchDomains: readonly string[];
}

export type ResolverProgram =
  | { readonly kind: "resolvconf"; readonly program: string }
  | { readonly kind: "resolved"; readonly program: string }
  /** Neither is there: /etc/resolv.conf is a file like any other. */
  | { readonly kind: "none" };

/** Which of them this machine uses. systemd's resolvectl goes by resolvconf's name, too, and needs its service. */
export function findResolverProgram(path: string | undefined = process.env.PATH): ResolverProgram {
  const folders = [...(path ?? "").split(":"), ...usualFolders].filter((folder) => folder.startsWith("/"));
  const find = (name: string) => folders.map((folder) => join(folder, name)).find(isExecutable);
  const isResolvedUp = statSync("/run/systemd/resolve", { throwIfNoEntry: false }) !== undefined;
  const resolvconf = find("resolvconf");
  if (resolvconf !== undefined && basename(realpathSync(resolvconf)) !== "resolvectl") {
    return { kind: "resolvconf", program: resolvconf };
  }
  const resolvectl = find("resolvectl");
  return resolvectl !== undefined && isResolvedUp ? { kind: "resolved", program: resolvectl } : { kind: "none" };
}

/** The content of a resolv.conf(5), which resolvconf takes as well. */
export function resolverFile({ resolvers, searchDomains }: ResolverSetting): string {
  const search = searchDomains.length === 0 ? [] : [`search ${searchDomains.join(" ")}`];
  return [...resolvers.map((resolver) => `nameserver ${resolver}`), ...search, ""].join("\n");
}

/** Hands a record to resolvconf, which is to ask these resolvers alone (-x) and before all others (-m 0). */
export function handToResolvconf(program: string, record: string, setting: ResolverSetting): void {
  run(program, ["-a", record, "-m", "0", "-x"], resolverFile(setting));
}

export function withdrawFromResolvconf(program: string, record: string): void {
  run(program, ["-d", record, "-f"]);
}

/** Gives systemd-resolved the interface's resolvers, for every name. */
export function handToResolved(program: string, link: string, { resolvers, searchDomains }: ResolverSetting): void {
  run(program, ["dns", link, ...resolvers.map(String)]);
  run(program, ["domain", link, "~.", ...searchDomains]);
  run(program, ["default-route", link, "true"]);
}

/** What is set for an interface goes with it: where that is gone, there is nothing left to revert. */
export function revertResolved(program: string, link: string): void {
  using config = InterfaceConfig.open();
  if (config.links.find(link) !== undefined) run(program, ["revert", link]);
}

function run(program: string, parameters: readonly string[], input = ""): void {
  const { error, status, signal, stderr } = spawnSync(program, parameters, {
    input,
    timeout: timeoutMs,
    encoding: "utf8",
    stdio: ["pipe", "ignore", "pipe"],
  });
  if (error === undefined && status === 0) return;
  const why = error?.message ?? `ended with ${signal ?? status}: ${stderr.trim().split("\n").at(-1)}`;
  throw new VpnError("not-available", `${program} ${parameters.join(" ")} failed: ${why}`, {
    remedy: "see to that program, or leave DNS out",
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
