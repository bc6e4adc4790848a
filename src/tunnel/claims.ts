/**
 * Values of this machine that several tunnels may set: kernel parameters, /etc/resolv.conf. Who sets one leaves a claim.
 * Who gives a claim up leaves the value as the latest of the remaining claims wants it, and the last one restores what
 * there was before the first. A value that somebody else has changed since is left alone.
 *
 * A claim is on the disk before the value is changed, and the value is restored before its claim is forgotten.
 */
import { readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { VpnError } from "../base/errors.ts";
import { overwriteFile, removeUnfinished, replaceFile } from "../os/durable-file.ts";
import { openFolder } from "./state-folder.ts";

/** How one kind of value is read and written. Values are compared as JSON. */
export interface Claimable<Value> {
  read(resource: string): Value;
  /** What `read` would return after `write(resource, value)`. */
  write(resource: string, value: Value): void;
  /** Removes what a crash in the middle of `write` may have left. */
  tidy?(resource: string): void;
  /** Whether two values are the same as far as a claim is concerned. */
  same(a: Value, b: Value): boolean;
}

interface Claim<Value> {
  readonly by: string;
  /** The run of the machine it was made in. */
  readonly boot: string;
  readonly value: Value;
}

interface Entry<Value> {
  readonly original: Value;
  claims: Claim<Value>[];
}

/** Callers hold the lock of the state folder. All methods throw `not-available` where what was claimed cannot be read. */
export class Claims<Value> {
  readonly #path: string;
  readonly #boot: string;
  readonly #kind: Claimable<Value>;

  constructor(path: string, boot: string, kind: Claimable<Value>) {
    this.#path = path;
    this.#boot = boot;
    this.#kind = kind;
  }

  /** Sets a value in the name of `by`, on top of what others have set. */
  take(resource: string, by: string, value: Value): void {
    const entries = this.#load();
    const entry = entries.get(resource) ?? { original: this.#kind.read(resource), claims: [] };
    entry.claims = [...entry.claims.filter((claim) => claim.by !== by), { by, boot: this.#boot, value }];
    entries.set(resource, entry);
    this.#save(entries, replaceFile);
    this.#kind.write(resource, value);
  }

  /** What `by` has set. */
  of(by: string): string[] {
    return [...this.#load()].flatMap(([resource, { claims }]) =>
      claims.some((claim) => claim.by === by) ? resource : [],
    );
  }

  /** Gives up what `by` has set; without a claim nothing happens. */
  release(resource: string, by: string): void {
    this.#drop((claim, claimed) => claimed === resource && claim.by === by);
  }

  /**
   * Gives up all claims of former runs of the machine, whose tunnels are gone. `isLasting` says whether the values
   * outlast a restart: otherwise the claims are forgotten, and the values are what the restart has made of them.
   */
  recover(isLasting: boolean): void {
    try {
      removeUnfinished(this.#path);
      this.#drop((claim) => claim.boot !== this.#boot, isLasting);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error; // another user's, who will see to them
    }
  }

  #drop(isGivenUp: (claim: Claim<Value>, resource: string) => boolean, restores = true): void {
    const entries = this.#load();
    for (const [resource, entry] of [...entries]) {
      const remaining = entry.claims.filter((claim) => !isGivenUp(claim, resource));
      const top = entry.claims.at(-1);
      if (remaining.length === entry.claims.length || top === undefined) continue;
      const next = remaining.at(-1);
      const wanted = next === undefined ? entry.original : next.value;
      const isOurs = () => this.#kind.same(this.#kind.read(resource), top.value);
      if (restores && next !== top && isOurs()) this.#kind.write(resource, wanted);
      this.#kind.tidy?.(resource);
      entry.claims = remaining;
      if (remaining.length === 0) entries.delete(resource);
      this.#save(entries, shorten);
    }
  }

  #load(): Map<string, Entry<Value>> {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Map();
      throw error;
    }
    try {
      const content: unknown = JSON.parse(text);
      const isTable = typeof content === "object" && content !== null && !Array.isArray(content);
      const entries = isTable ? Object.entries(content as Readonly<Record<string, unknown>>) : [];
      if (isTable && entries.every(isEntry<Value>)) return new Map(entries);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
    throw new VpnError(
      "not-available",
      `${this.#path} cannot be read any more: it says what values there were before`,
      {
        remedy: "remove it, and look whether forwarding and /etc/resolv.conf are as they should be",
      },
    );
  }

  #save(entries: ReadonlyMap<string, Entry<Value>>, write: typeof shorten): void {
    if (entries.size === 0) {
      rmSync(this.#path, { force: true });
      return;
    }
    openFolder(dirname(this.#path));
    write(this.#path, JSON.stringify(Object.fromEntries(entries)), { mode: 0o600 });
  }
}

function isEntry<Value>(pair: [string, unknown]): pair is [string, Entry<Value>] {
  const [, entry] = pair;
  if (typeof entry !== "object" || entry === null || !("original" in entry && "claims" in entry)) return false;
  return Array.isArray(entry.claims) && entry.claims.every(isClaim);
}

function isClaim(value: unknown): boolean {
  if (typeof value !== "object" || value === null || !("by" in value && "boot" in value)) return false;
  return typeof value.by === "string" && typeof value.boot === "string" && "value" in value;
}

/** With less in it than before, there is room for it on a full disk as well: what is given up can be so at any time. */
function shorten(path: string, content: string, rights: { readonly mode: number }): void {
  try {
    replaceFile(path, content, rights);
  } catch (error) {
    const { cause } = error as Error;
    if ((cause as NodeJS.ErrnoException | undefined)?.code !== "ENOSPC") throw error;
    overwriteFile(path, content);
  }
}
