/**
 * What a tunnel does to the host beyond its own interface, as data that another process can read and undo. What belongs
 * to the interface (addresses, routes) goes with it and needs no deed.
 */
import { join } from "node:path";
import type { AddressFamily } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { bootId, networkNamespaceId } from "../os/boot.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import { LastingTable } from "../os/nftables.ts";
import { Errno, SystemError } from "../os/system-error.ts";
import { claimedFile, type FileValue, fileResource, locate, pathIn } from "./claimed-file.ts";
import { Claims } from "./claims.ts";
import { kernelParameter, type ParameterValue } from "./kernel-parameter.ts";
import { KillSwitch } from "./kill-switch.ts";
import { revertResolved, withdrawFromResolvconf } from "./resolver-program.ts";
import { exclusively, type StateFolders } from "./state-folder.ts";

export type Deed =
  /** A policy rule. */
  | { readonly kind: "rule"; readonly rule: MarkRule }
  /** A kernel parameter claimed. */
  | { readonly kind: "parameter"; readonly parameter: string; readonly value: string }
  /** A file claimed. */
  | { readonly kind: "file"; readonly path: string }
  /** A table of nf_tables, which a kernel before 5.12 does not remove with its process. */
  | { readonly kind: "table"; readonly name: string }
  /** Whether the local network may pass is for whoever takes it over; left out, it may not. */
  | { readonly kind: "kill-switch"; readonly lan?: boolean }
  /** A record handed to resolvconf(8). */
  | { readonly kind: "resolvconf"; readonly program: string; readonly record: string }
  /** Resolvers set for the interface in systemd-resolved. */
  | { readonly kind: "resolved"; readonly program: string; readonly link: string }
  /** A firewall mark, which is a routing table's number as well, taken so that no other tunnel takes it. */
  | { readonly kind: "mark"; readonly mark: number }
  /** Commands of the operator's that undo what other commands of his did. Run by whoever owns the journal. */
  | { readonly kind: "hooks"; readonly stage: "preDown" | "postDown"; readonly commands: readonly string[] };

export interface MarkRule {
  readonly family: AddressFamily;
  readonly table: number;
  readonly priority: number;
  readonly mark?: number;
  readonly invert?: boolean;
  readonly suppressPrefixLength?: number;
}

/** Whose deeds they are, and where what is claimed is written down. */
export interface DeedContext {
  readonly tunnel: string;
  readonly folders: StateFolders;
}

/** Whether a value, such as the JSON of a journal, is a deed that is known here. */
export function isDeed(value: unknown): value is Deed {
  if (typeof value !== "object" || value === null) return false;
  const deed = value as Readonly<Record<string, unknown>>;
  const areTexts = (...names: readonly string[]) => names.every((name) => typeof deed[name] === "string");
  switch (deed.kind) {
    case "rule": {
      const { family, table, priority } = (deed.rule ?? {}) as Partial<MarkRule>;
      return (family === 4 || family === 6) && Number.isInteger(table) && Number.isInteger(priority);
    }
    case "parameter":
      return areTexts("parameter", "value");
    case "file":
      return areTexts("path");
    case "table":
      return areTexts("name");
    case "kill-switch":
      return true;
    case "resolvconf":
      return areTexts("program", "record");
    case "resolved":
      return areTexts("program", "link");
    case "mark":
      return Number.isInteger(deed.mark);
    case "hooks":
      return areTexts("stage") && Array.isArray(deed.commands) && deed.commands.every((one) => typeof one === "string");
    default:
      return false;
  }
}

/** Sets a kernel parameter in this thread's namespace, in the name of the tunnel. */
export function claimParameter(context: DeedContext, parameter: string, value: string): void {
  const { resource, claimant } = namesOf(context, parameter);
  exclusively(context.folders, () => parametersIn(context.folders).take(resource, claimant, { value, besides: {} }));
}

/** Writes a file in the name of the tunnel. */
export function claimFile(context: DeedContext, path: string, content: string): void {
  const owner = { user: process.geteuid?.() ?? 0, group: process.getegid?.() ?? 0 };
  const value: FileValue = { kind: "file", content, mode: 0o644, owner };
  const { claimant } = namesOf(context, path);
  exclusively(context.folders, () => filesIn(context.folders).take(fileResource(path), claimant, value));
}

/**
 * Sees to what is left of former runs of the machine, as far as it can be read: whose claims cannot be, hears of it when
 * he takes one or gives one up, and others are not held up. The caller holds the lock of the state folder.
 */
export function recoverClaims(folders: StateFolders): void {
  for (const recover of [() => parametersIn(folders).recover(false), () => filesIn(folders).recover(true)]) {
    try {
      recover();
    } catch (error) {
      if (!(error instanceof VpnError)) throw error;
    }
  }
}

/** Undoes one deed in this thread's namespace; what is undone already is no error. Hooks and marks need no undoing here. */
export function undoDeed(context: DeedContext, deed: Deed): void {
  switch (deed.kind) {
    case "rule": {
      using config = InterfaceConfig.open();
      config.rules.remove(deed.rule);
      break;
    }
    case "parameter": {
      const { resource, claimant } = namesOf(context, deed.parameter);
      exclusively(context.folders, () => parametersIn(context.folders).release(resource, claimant));
      break;
    }
    case "file": {
      const { claimant } = namesOf(context, deed.path);
      exclusively(context.folders, () => {
        const files = filesIn(context.folders);
        for (const resource of files.of(claimant).filter((claimed) => pathIn(claimed) === deed.path)) {
          locate(resource);
          files.release(resource, claimant);
        }
      });
      break;
    }
    case "table":
      removeTable(deed.name);
      break;
    case "kill-switch":
      KillSwitch.remove(context.tunnel);
      break;
    case "resolvconf":
      withdrawFromResolvconf(deed.program, deed.record);
      break;
    case "resolved":
      revertResolved(deed.program, deed.link);
      break;
    case "mark":
    case "hooks":
      break;
  }
}

/** Where the table belongs to a process that lives, it is not the one that the deed is about. */
function removeTable(name: string): void {
  try {
    LastingTable.remove(name);
  } catch (error) {
    if (!(error instanceof SystemError) || error.errno !== Errno.EPERM) throw error;
  }
}

function parametersIn({ run }: StateFolders): Claims<ParameterValue> {
  return new Claims(join(run, "parameters.json"), bootId(), kernelParameter);
}

function filesIn({ lasting }: StateFolders): Claims<FileValue> {
  return new Claims(join(lasting, "files.json"), bootId(), claimedFile);
}

function namesOf({ tunnel }: DeedContext, what: string): { resource: string; claimant: string } {
  const namespace = networkNamespaceId();
  return { resource: `${namespace} ${what}`, claimant: `${namespace}/${tunnel}` };
}
