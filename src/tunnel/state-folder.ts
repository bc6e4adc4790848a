/**
 * Where warren keeps what it must remember to undo: in /run/warren what the kernel forgets at a restart, too, and in
 * /var/lib/warren what it did to files, which a restart does not undo. Both can be put elsewhere by the environment, as
 * for a container whose /run is read-only. Nobody but the owner can look into them.
 *
 *     /run/warren/lock                   held for moments: one change at a time
 *     /run/warren/parameters.json        kernel parameters, and who wants them how
 *     /run/warren/net-1/wg0.journal      what was done for wg0 in that network namespace; locked while wg0 is alive
 *     /var/lib/warren/files.json         files, as the first names
 */
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { VpnError } from "../base/errors.ts";
import { makePrivateFolder } from "../os/durable-file.ts";
import { FileLock } from "../os/file-lock.ts";

export interface StateFolders {
  readonly run: string;
  readonly lasting: string;
}

export function stateFolders(environment: NodeJS.ProcessEnv = process.env): StateFolders {
  return {
    run: environment.WARREN_RUN_DIRECTORY ?? "/run/warren",
    lasting: environment.WARREN_STATE_DIRECTORY ?? "/var/lib/warren",
  };
}

/** Runs a short action while no other process of this machine runs one. */
export function exclusively<T>({ run }: Pick<StateFolders, "run">, action: () => T): T {
  openFolder(run);
  const path = join(run, "lock");
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false) {
    throw new VpnError("not-available", `${path} is no file`, { remedy: "remove it: warren has not made it" });
  }
  using _lock = FileLock.acquire(path);
  return action();
}

/** Makes a folder of ours where it is missing. Throws a `VpnError` that says what to do. */
export function openFolder(path: string): void {
  try {
    makePrivateFolder(path);
  } catch (error) {
    if (error instanceof VpnError) throw error;
    const { code = String(error) } = error as NodeJS.ErrnoException;
    throw new VpnError(
      code === "EACCES" || code === "EPERM" ? "not-permitted" : "not-available",
      `cannot make the folder ${path} (${code}), which says what is to be undone`,
      { remedy: "run as root, or name others by WARREN_RUN_DIRECTORY and WARREN_STATE_DIRECTORY", cause: error },
    );
  }
}

/** Throws `invalid-argument` unless this can be an interface's name, which then is safe in a path and in a command. */
export function checkTunnelName(name: string): string {
  if (/^[a-zA-Z0-9_=+.][a-zA-Z0-9_=+.-]{0,14}$/.test(name) && name !== "." && name !== "..") return name;
  throw new VpnError("invalid-argument", `${JSON.stringify(name)} is not an interface name`, {
    remedy: "use 1 to 15 letters, digits, and _ = + . - but no - in front",
  });
}
