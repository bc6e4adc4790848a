/**
 * Writing files so that a crash, or a power cut, leaves the former content or the new one and nothing between: a new
 * file beside the old one, on the disk, then renamed over it. And the private folders that such files may need.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { VpnError } from "../base/errors.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;

/** Of a mount point, of a read-only file system, of a folder that is somebody else's. */
const unmovable: readonly string[] = ["EBUSY", "EROFS", "EACCES", "EPERM"];

export interface FileRights {
  readonly mode: number;
  /** The caller's own where left out. */
  readonly owner?: { readonly user: number; readonly group: number };
}

/**
 * Replaces a file's content. Where the file is a mount point, as /etc/resolv.conf is in containers, or alone in its folder
 * to be writable, as under systemd's ProtectSystem=, it cannot be renamed over, and is written in place.
 */
export function replaceFile(path: string, content: string, rights: FileRights): void {
  try {
    writeBeside(path, content, rights);
  } catch (error) {
    const isFile = lstatSync(path, { throwIfNoEntry: false })?.isFile() === true; // what a link leads to is not ours
    if (!isFile || !unmovable.includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    writeFileSync(path, content, { flush: true });
  }
}

function writeBeside(path: string, content: string, { mode, owner }: FileRights): void {
  removeUnfinished(path);
  const fresh = besidePath(path);
  const fd = openSync(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    writeSync(fd, content);
    if (owner !== undefined) fchownSync(fd, owner.user, owner.group);
    fchmodSync(fd, mode);
    fsyncSync(fd);
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  syncFolder(dirname(path));
}

/** Where the new content of a file is made, one writer at a time: by the same name always, so that a crash leaves one at most. */
export function besidePath(path: string): string {
  return `${path}.warren`;
}

/** Removes what a crash may have left beside a file. */
export function removeUnfinished(path: string): void {
  const fresh = besidePath(path);
  if (lstatSync(fresh, { throwIfNoEntry: false }) !== undefined) rmSync(fresh);
}

/** Puts changes of a folder's entries on the disk. */
export function syncFolder(path: string): void {
  const fd = openSync(path, O_RDONLY | O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes a folder that nobody else may look into, if it is not there; the one above it is. Throws `not-permitted` where it is there and others
 * could have put something into it.
 */
export function makePrivateFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 }); // `recursive` would try for ever where the folder above has been deleted
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const status = lstatSync(path);
  if (status.isDirectory() && status.uid === process.geteuid?.() && (status.mode & 0o022) === 0) return;
  throw new VpnError("not-permitted", `${path} is not a folder of this user alone`, {
    remedy: "remove it, or give it to this user and take from others the right to write there",
  });
}
