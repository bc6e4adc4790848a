/**
 * What a tunnel has done to the host, written down before it is done, so that whoever comes after can undo it: the
 * tunnel itself at its end, `warren down` after a SIGKILL, or the next `warren up` of that name.
 *
 * A journal is a file of JSON lines, to which lines are only added. One says whose it is, `{"tunnel":"wg0",…}`, and again
 * when it changes hands; then `{"id":1,"deed":{…}}` for what was done and `{"undone":1}` for what was undone since. Each
 * line is on the disk before its deed: where it cannot be written the deed is not done. The file is locked for as long as
 * the tunnel lives; the kernel gives up the lock of a process that is killed. A line that a crash cut off is of a deed that
 * was not begun. To undo takes no writing, should the disk be full: what is undone twice does no harm.
 *
 * A kill switch is found by its table's name as well, since without the journal nobody else could open it.
 */
import { fdatasyncSync, globSync, readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { VpnError } from "../base/errors.ts";
import { bootId, networkNamespaceId, pidNamespaceId } from "../os/boot.ts";
import { writeFully } from "../os/durable-file.ts";
import { FileLock } from "../os/file-lock.ts";
import { NetworkNamespace } from "../os/namespace.ts";
import { type Deed, recoverClaims, undoDeed } from "./deed.ts";
import { type Entry, type JournalOwner, type JournalRole, type ReloadOutcome, readJournal } from "./journal-content.ts";
import { KillSwitch } from "./kill-switch.ts";
import { checkTunnelName, exclusively, openFolder, type StateFolders, stateFolders } from "./state-folder.ts";

export type JournalState =
  | { readonly kind: "absent" }
  | { readonly kind: "live"; readonly owner: JournalOwner }
  /** Nobody's: the journal is ours now, with all that is left to undo. */
  | { readonly kind: "dead"; readonly owner: JournalOwner; readonly journal: Journal };

export interface Glance {
  /** Whether a process holds the tunnel, or undoes it. */
  readonly isLive: boolean;
  readonly owner: JournalOwner | undefined;
  readonly deeds: readonly Deed[];
}

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
  #entries: Entry[] = [];
  #unknown: readonly string[] = [];
  #lastId = 0;
  /** Whether the last line may lack its end. */
  #isCutOff = true;

  /**
   * Begins a tunnel's journal in this thread's network namespace, or goes on with what a dead tunnel of that name left.
   * Throws `name-taken` where one is alive, and `not-available` where nothing can be written.
   */
  static open(tunnel: string, options: JournalOptions = {}): Journal {
    const { folders = stateFolders(), file, endsOnHangUp = false } = options;
    return exclusively(folders, () => {
      recoverClaims(folders);
      const path = pathOf(tunnel, folders);
      openFolder(folderOf(folders));
      const content = readJournal(path);
      const lock = FileLock.tryAcquire(path);
      if (lock === undefined) throw taken(tunnel, content?.owner);
      const journal = new Journal(tunnel, path, folders, lock, { role: "starting", file, endsOnHangUp });
      try {
        journal.#append(journal.#owner);
      } catch (error) {
        if (statSync(path).size === 0) rmSync(path);
        journal.#release();
        throw error;
      }
      journal.#takeOver();
      return journal;
    });
  }

  /** Looks for a tunnel's journal, or its kill switch, and takes it over if its tunnel is dead. */
  static find(tunnel: string, folders: StateFolders = stateFolders()): JournalState {
    return exclusively(folders, () => {
      recoverClaims(folders);
      const path = pathOf(tunnel, folders);
      const content = readJournal(path);
      if (content === undefined && !KillSwitch.isLeft(tunnel)) return { kind: "absent" };
      openFolder(folderOf(folders));
      const lock = FileLock.tryAcquire(path);
      if (lock === undefined) {
        if (content?.owner === undefined) throw ownerless(tunnel, path);
        return { kind: "live", owner: content.owner };
      }
      const journal = new Journal(tunnel, path, folders, lock, { role: "undoing", file: content?.owner?.file });
      journal.#note(journal.#owner);
      journal.#takeOver();
      return { kind: "dead", owner: content?.owner ?? journal.#owner, journal };
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
  }

  /** What is left becomes ours to undo. */
  #takeOver(): void {
    const content = readJournal(this.#path);
    const isOfThisRun = content?.owner?.boot === this.#owner.boot || content?.owner === undefined;
    this.#entries = isOfThisRun ? (content?.entries ?? []) : [];
    this.#unknown = isOfThisRun ? (content?.unknown ?? []) : [];
    this.#lastId = content?.lastId ?? 0;
    const isNoted = this.#entries.some(({ deed }) => deed.kind === "kill-switch");
    if (!isNoted && KillSwitch.isLeft(this.tunnel)) {
      const entry = { id: ++this.#lastId, deed: { kind: "kill-switch" } } as const;
      this.#note(entry);
      this.#entries.push(entry);
    }
    process.on("exit", this.#onExit); // an uncaught exception gets no further than the exit hooks
  }

  /** What in it says nothing that is known here, and so is neither undone nor forgotten. */
  get complaint(): VpnError | undefined {
    if (this.#unknown.length === 0) return undefined;
    const [line] = this.#unknown;
    return new VpnError("not-available", `${this.#path} says something that this release does not know: ${line}`, {
      remedy: "undo by hand what it is about, or with the release that wrote it, and remove the file",
    });
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
    this.#note(this.#owner);
  }

  /** Takes the first mark from `first` on that is neither in use nor another tunnel's, live or waiting to be undone. */
  reserveMark(first: number, used: ReadonlySet<number | undefined>): number {
    return exclusively(this.#folders, () => {
      const folder = folderOf(this.#folders);
      const others = readdirSync(folder, { withFileTypes: true }).filter((file) => file.isFile());
      const entries = others.flatMap(({ name }) => readJournal(join(folder, name))?.entries ?? []);
      const deeds = entries.map(({ deed }) => deed);
      const taken = new Set(deeds.flatMap((deed) => (deed.kind === "mark" ? deed.mark : [])));
      let mark = first;
      while (used.has(mark) || taken.has(mark)) mark++;
      return this.record({ kind: "mark", mark }, () => mark);
    });
  }

  /**
   * Writes a deed down, then does it. Where doing it fails it stays written: half of it may have been done. Throws
   * `not-available` where it cannot be written, with nothing done.
   */
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
    const reloaded: ReloadOutcome = failure === undefined ? { ok: true } : { ok: false, failure };
    this.#note({ reloaded });
  }

  /** How often a tunnel has read its configuration again, and how the last time went. */
  static reloads(tunnel: string, folders: StateFolders = stateFolders()): readonly ReloadOutcome[] {
    return readJournal(pathOf(tunnel, folders))?.reloads ?? [];
  }

  /** The tunnels of this network namespace that have a journal, live or not, sorted. */
  static names(folders: StateFolders = stateFolders()): string[] {
    const found = globSync("*.journal", { cwd: folderOf(folders) });
    return found.map((file) => file.slice(0, -".journal".length)).sort();
  }

  /** What is noted of a tunnel and not undone, for those who only want to know; nothing changes. */
  static glance(tunnel: string, folders: StateFolders = stateFolders()): Glance | undefined {
    const path = pathOf(tunnel, folders);
    if (readJournal(path) === undefined) return undefined;
    return exclusively(folders, () => {
      const content = readJournal(path);
      if (content === undefined) return undefined;
      using lock = FileLock.tryAcquire(path);
      const entries = content.owner?.boot === bootId() ? content.entries : [];
      return { isLive: lock === undefined, owner: content.owner, deeds: entries.map(({ deed }) => deed) };
    });
  }

  /** Ends the journal: what is left in it waits for `warren down`; an empty one is removed. */
  [Symbol.dispose](): void {
    process.off("exit", this.#onExit);
    exclusively(this.#folders, () => {
      if (this.#entries.length + this.#unknown.length === 0) {
        rmSync(this.#path, { force: true });
        removeIfEmpty(join(this.#path, ".."));
      }
      this.#release();
    });
  }

  #release(): void {
    this.#home[Symbol.dispose]();
    this.#lock[Symbol.dispose]();
  }

  #forget(entry: Entry): void {
    this.#note({ undone: entry.id });
    this.#entries = this.#entries.filter((other) => other !== entry);
  }

  /** Writes what is true also where it cannot be written. */
  #note(line: object): void {
    try {
      this.#append(line);
    } catch (error) {
      if (!(error instanceof VpnError)) throw error;
    }
  }

  #append(line: object): void {
    const text = `${this.#isCutOff ? "\n" : ""}${JSON.stringify(line)}\n`;
    this.#isCutOff = true;
    try {
      writeFully(this.#lock.fd, Buffer.from(text));
      fdatasyncSync(this.#lock.fd);
    } catch (error) {
      const { code = String(error) } = error as NodeJS.ErrnoException;
      throw new VpnError("not-available", `cannot write into ${this.#path} what is to be undone (${code})`, {
        remedy: code === "ENOSPC" ? "make room there" : "look what is wrong with its file system",
        cause: error,
      });
    }
    this.#isCutOff = false;
  }
}

function folderOf({ run }: StateFolders): string {
  return join(run, networkNamespaceId());
}

function pathOf(tunnel: string, folders: StateFolders): string {
  return join(folderOf(folders), `${checkTunnelName(tunnel)}.journal`);
}

function taken(tunnel: string, owner: JournalOwner | undefined): VpnError {
  const process = owner === undefined ? "" : ` (process ${owner.pid})`;
  return new VpnError("name-taken", `${tunnel} is up already${process}`, {
    remedy: `end it with \`warren down ${tunnel}\`, or choose another name`,
  });
}

function ownerless(tunnel: string, path: string): VpnError {
  return new VpnError("not-available", `${tunnel} is up, but ${path} does not say in which process`, {
    remedy: "end that process; `fuser` shows it",
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
