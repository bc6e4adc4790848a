/**
 * What stands in a journal, as `journal.ts` describes it. A crash may cut off any line; what is whole and yet says nothing
 * that is known here was written by a later release, or by hand, and may be about something that is still done: so it is
 * not passed over in silence.
 */
import { lstatSync, readFileSync } from "node:fs";
import { VpnError } from "../base/errors.ts";
import { type Deed, isDeed } from "./deed.ts";

/** What the owner is about: a tunnel that comes up or is up, or whoever undoes one. */
export type JournalRole = "starting" | "up" | "undoing";

/** Whose a journal is. */
export interface JournalOwner {
  readonly tunnel: string;
  readonly boot: string;
  readonly pid: number;
  /** In which that number is meant; in others it is somebody else's. */
  readonly pidNamespace: string;
  readonly role: JournalRole;
  /** Whether SIGHUP ends the owner, instead of having it read its file again. */
  readonly endsOnHangUp?: boolean;
  /** The configuration's path, for `warren reload` and `warren down`; absent where it was read from standard input. */
  readonly file?: string;
}

export type ReloadOutcome = { readonly ok: true } | { readonly ok: false; readonly failure: string };

export interface Entry {
  readonly id: number;
  readonly deed: Deed;
}

export interface JournalContent {
  /** `undefined` where not even that line was finished. */
  readonly owner: JournalOwner | undefined;
  /** What is not undone. */
  readonly entries: Entry[];
  readonly reloads: readonly ReloadOutcome[];
  /** Lines that say nothing that is known, but for those undone. */
  readonly unknown: readonly string[];
  /** Greater than none that was given. */
  readonly lastId: number;
}

type Line =
  | { readonly kind: "owner"; readonly owner: JournalOwner }
  | { readonly kind: "done"; readonly entry: Entry }
  | { readonly kind: "undone"; readonly id: number }
  | { readonly kind: "reloaded"; readonly outcome: ReloadOutcome }
  | { readonly kind: "unknown"; readonly id: number | undefined }
  | { readonly kind: "cut-off" };

type Fields = Readonly<Record<string, unknown>>;

/** `undefined` where there is none. Throws `not-available` where there is something else in its place. */
export function readJournal(path: string): JournalContent | undefined {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return undefined;
  if (!status.isFile()) {
    throw new VpnError("not-available", `${path} is no journal, but a folder, a link or the like`, {
      remedy: "remove it: warren has not made it",
    });
  }
  let owner: JournalOwner | undefined;
  let lastId = 0;
  const entries = new Map<number, Entry>();
  const unknown = new Map<number | string, string>();
  const reloads: ReloadOutcome[] = [];
  for (const text of readFileSync(path, "utf8").split("\n")) {
    const line = parseLine(text);
    switch (line.kind) {
      case "owner":
        // Of a former run of the machine only files are left, and those the claims see to.
        if (owner !== undefined && line.owner.boot !== owner.boot) {
          entries.clear();
          unknown.clear();
        }
        owner = line.owner;
        break;
      case "done":
        entries.set(line.entry.id, line.entry);
        lastId = Math.max(lastId, line.entry.id);
        break;
      case "undone":
        entries.delete(line.id);
        unknown.delete(line.id);
        break;
      case "reloaded":
        reloads.push(line.outcome);
        break;
      case "unknown":
        unknown.set(line.id ?? text, text);
        lastId = Math.max(lastId, line.id ?? 0);
        break;
      case "cut-off":
        break;
    }
  }
  return { owner, entries: [...entries.values()], reloads, unknown: [...unknown.values()], lastId };
}

function parseLine(text: string): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "cut-off" };
  }
  const line: Fields = typeof value === "object" && value !== null ? (value as Fields) : {};
  const { tunnel, boot, pid, id, deed, undone, reloaded } = line;
  if (typeof tunnel === "string" && typeof boot === "string" && isNumber(pid)) {
    const { pidNamespace = "", role = "up" } = line; // both came later
    return { kind: "owner", owner: { ...line, pidNamespace, role } as JournalOwner };
  }
  if (isNumber(id)) return isDeed(deed) ? { kind: "done", entry: { id, deed } } : { kind: "unknown", id };
  if (isNumber(undone)) return { kind: "undone", id: undone };
  if (isOutcome(reloaded)) return { kind: "reloaded", outcome: reloaded };
  return { kind: "unknown", id: undefined };
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isOutcome(value: unknown): value is ReloadOutcome {
  if (typeof value !== "object" || value === null || !("ok" in value)) return false;
  return value.ok === true || (value.ok === false && "failure" in value && typeof value.failure === "string");
}
