/**
 * What a tunnel has done to the host, written down before it is done, so that whoever comes after can undo it: the
 * tunnel itself at its end, `warren down` after a SIGKILL, or the next `warren up` of that name.
 *
 * A journal is a file of JSON lines, to which lines are only added. One says whose it is, `{"tunnel":"wg0",…}`, and again
 * when it changes hands; then `{"id":1,"deed":{…}}` for what was done and `{"undone":1}` for what was undone since. Each
 * line is on the disk before its deed. The file is locked for as long as the tunnel lives; the kernel gives up the lock
 * of a process that is killed. A line that a crash cut off is of a deed that was not begun.
 */
import { fdatasyncSync, readdirSync, readFileSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { VpnError } from "../base/errors.ts";
import { bootId, networkNamespaceId, pidNamespaceId } from "../os/boot.ts";
import { FileLock } from "../os/file-lock.ts";
import { NetworkNamespace } from "../os/namespace.ts";
import { type Deed, recoverClaims, undoDeed } from "./deed.ts";
import { checkTunnelName, exclusively, openFolder, type StateFolders, stateFolders } from "./state-folder.ts";

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

interface ReloadLine {
  readonly reloaded: ReloadOutcome;
}

interface Content {
  readonly owner: JournalOwner;
  readonly entries: Entry[];
  readonly reloads: readonly ReloadOutcome[];
}

interface Entry {
  readonly id: number;
  readonly deed: Deed;
}

export type JournalState =
  | { readonly kind: "absent" }
  | { readonly kind: "live"; readonly owner: JournalOwner }
  /** Nobody's: the journal is ours now, with all that is left to undo. */
  | { readonly kind: "dead"; readonly owner: JournalOwner; readonly journal: Journal };

export interface JournalOptions {
  readonly file?: string | undefined;
  readonly endsOnHangUp?: boolean;
  readonly folders?: StateFolders;
}

export class Journal implements Disposable {
  readonly tunnel: string;
  readonly #path: string;
  readonly #folders: StateFolders;
  readonly #lock: FileLock;
  readonly #home: NetworkNamespace;
  /** A crash is what a kill switch is for. */
  readonly #onExit = () => void this.undo(0, ({ kind }) => kind !== "kill-switch");
  #owner: JournalOwner;
  #entries: Entry[];
  #lastId = 0;

  /**
   * Begins a tunnel's journal in this thread's network namespace, or goes on with what a dead tunnel of that name left.
   * Throws `name-taken` where one is alive.
   */
  static open(tunnel: string, options: JournalOptions = {}): Journal {
    const { folders = stateFolders(), file, endsOnHangUp = false } = options;
    return exclusively(folders, () => {
      recoverClaims(folders);
      const path = pathOf(tunnel, folders);
      openFolder(folderOf(folders));
      const lock = FileLock.tryAcquire(path);
      if (lock === undefined) throw taken(tunnel, read(path)?.owner);
      return new Journal(tunnel, path, folders, lock, { role: "starting", file, endsOnHangUp });
    });
  }

  /** Looks for a tunnel's journal, and takes it over if its tunnel is dead. */
  static find(tunnel: string, folders: StateFolders = stateFolders()): JournalState {
    return exclusively(folders, () => {
      recoverClaims(folders);
      const path = pathOf(tunnel, folders);
      const content = read(path);
      if (content === undefined) return { kind: "absent" };
      const lock = FileLock.tryAcquire(path);
      if (lock === undefined) return { kind: "live", owner: content.owner };
      return {
        kind: "dead",
        owner: content.owner,
        journal: new Journal(tunnel, path, folders, lock, { role: "undoing", file: content.owner.file }),
      };
    });
  }

  private constructor(
    tunnel: string,
    path: string,
    folders: StateFolders,
    lock: FileLock,
    { role, file, endsOnHangUp }: Pick<JournalOwner, "role"> & Omit<JournalOptions, "folders">,
  ) {
    this.tunnel = tunnel;
    this.#path = path;
    this.#folders = folders;
    this.#lock = lock;
    this.#home = NetworkNamespace.current();
    this.#owner = {
      tunnel,
      boot: bootId(),
      pid: process.pid,
      pidNamespace: pidNamespaceId(),
      role,
      ...(file === undefined ? {} : { file }),
      ...(endsOnHangUp === true ? { endsOnHangUp } : {}),
    };
    writeSync(lock.fd, "\n"); // ends what a crash may have cut off
    this.#append(this.#owner);
    this.#entries = read(path)?.entries ?? [];
    this.#lastId = this.#entries.at(-1)?.id ?? 0;
    process.on("exit", this.#onExit); // an uncaught exception gets no further than the exit hooks
  }

  /** What is not undone, in the order in which it was done. */
  get deeds(): Deed[] {
    return this.#entries.map(({ deed }) => deed);
  }

  /** For `undo`: what is done from now on. */
  get position(): number {
    return this.#lastId;
  }

  /** Tells `warren down` and `warren reload` what its owner is about from now on. */
  enter(role: JournalRole): void {
    this.#owner = { ...this.#owner, role };
    this.#append(this.#owner);
  }

  /** Takes the first mark from `first` on that is neither in use nor another tunnel's, live or waiting to be undone. */
  reserveMark(first: number, used: ReadonlySet<number | undefined>): number {
    return exclusively(this.#folders, () => {
      const folder = folderOf(this.#folders);
      const others = readdirSync(folder).map((file) => join(folder, file));
      const deeds = others.flatMap((file) => read(file)?.entries ?? []).map(({ deed }) => deed);
      const taken = new Set(deeds.flatMap((deed) => (deed.kind === "mark" ? deed.mark : [])));
      let mark = first;
      while (used.has(mark) || taken.has(mark)) mark++;
      return this.record({ kind: "mark", mark }, () => mark);
    });
  }

  /** Writes a deed down, then does it. Where doing it fails it stays written: half of it may have been done. */
  record<T>(deed: Deed, action: (context: { tunnel: string; folders: StateFolders }) => T): T {
    const entry = { id: ++this.#lastId, deed };
    this.#append(entry);
    this.#entries.push(entry);
    return action({ tunnel: this.tunnel, folders: this.#folders });
  }

  /**
   * Undoes what was done since a position, all of it unless told which, the last first. What cannot be undone stays
   * written and is returned. Hooks are left to `takeHooks`.
   */
  undo(since = 0, which: (deed: Deed) => boolean = () => true): unknown[] {
    const failures: unknown[] = [];
    const wanted = this.#entries.filter(({ id, deed }) => id > since && deed.kind !== "hooks" && which(deed));
    for (const entry of wanted.reverse()) {
      try {
        inside(this.#home, () => undoDeed({ tunnel: this.tunnel, folders: this.#folders }, entry.deed));
        this.#forget(entry);
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }

  /** The commands of a stage, which the caller now runs; they are not run again. */
  takeHooks(stage: "preDown" | "postDown"): string[] {
    const found = this.#entries.filter(({ deed }) => deed.kind === "hooks" && deed.stage === stage);
    for (const entry of found) this.#forget(entry);
    return found.flatMap(({ deed }) => (deed.kind === "hooks" ? deed.commands : []));
  }

  /** Writes down that the tunnel has read its configuration again, and what was in the way; `warren reload` waits for it. */
  noteReload(failure: string | undefined): void {
    this.#append({ reloaded: failure === undefined ? { ok: true } : { ok: false, failure } } satisfies ReloadLine);
  }

  /** How often a tunnel has read its configuration again, and how the last time went. */
  static reloads(tunnel: string, folders: StateFolders = stateFolders()): readonly ReloadOutcome[] {
    return read(pathOf(tunnel, folders))?.reloads ?? [];
  }

  /** Ends the journal: what is left in it waits for `warren down`; an empty one is removed. */
  [Symbol.dispose](): void {
    process.off("exit", this.#onExit);
    this.#home[Symbol.dispose]();
    exclusively(this.#folders, () => {
      if (this.#entries.length === 0) {
        rmSync(this.#path, { force: true });
        removeIfEmpty(join(this.#path, ".."));
      }
      this.#lock[Symbol.dispose]();
    });
  }

  #forget(entry: Entry): void {
    this.#append({ undone: entry.id });
    this.#entries = this.#entries.filter((other) => other !== entry);
  }

  #append(line: object): void {
    writeSync(this.#lock.fd, `${JSON.stringify(line)}\n`);
    fdatasyncSync(this.#lock.fd);
  }
}

function folderOf({ run }: StateFolders): string {
  return join(run, networkNamespaceId());
}

function pathOf(tunnel: string, folders: StateFolders): string {
  return join(folderOf(folders), `${checkTunnelName(tunnel)}.journal`);
}

/** `undefined` where there is no journal, or one in which not even the first line was finished. */
function read(path: string): Content | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  let owner: JournalOwner | undefined;
  const entries = new Map<number, Entry>();
  const reloads: ReloadOutcome[] = [];
  for (const line of text.split("\n").flatMap(parseLine)) {
    if ("id" in line) entries.set(line.id, line);
    else if ("undone" in line) entries.delete(line.undone);
    else if ("reloaded" in line) reloads.push(line.reloaded);
    else {
      // Of a former run of the machine only files are left, and those the claims see to.
      if (line.boot !== owner?.boot) entries.clear();
      owner = line;
    }
  }
  return owner && { owner, entries: [...entries.values()], reloads };
}

function parseLine(line: string): (JournalOwner | Entry | ReloadLine | { readonly undone: number })[] {
  try {
    return line === "" ? [] : [JSON.parse(line)];
  } catch {
    return []; // cut off
  }
}

function taken(tunnel: string, owner: JournalOwner | undefined): VpnError {
  const process = owner === undefined ? "" : ` (process ${owner.pid})`;
  return new VpnError("name-taken", `${tunnel} is up already${process}`, {
    remedy: `end it with \`warren down ${tunnel}\`, or choose another name`,
  });
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "ENOENT") throw error;
  }
}

/** Runs an action in a namespace; without a change of namespace, which takes CAP_SYS_ADMIN, where the thread is there. */
function inside(namespace: NetworkNamespace, action: () => void): void {
  using here = NetworkNamespace.current();
  if (String(here) === String(namespace)) action();
  else namespace.run(action);
}
