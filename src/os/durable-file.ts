/**
 * Writing files so that a crash, or a power cut, leaves the former content or the new one and nothing between: a new
 * file beside the old one, on the disk, then renamed over it. And the private folders that such files may need.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { VpnError } from "../base/errors.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_WRONLY } = constants;

/** Of a mount point, of a read-only file system, of a folder that is somebody else's. */
const unmovable: readonly string[] = ["EBUSY", "EROFS", "EACCES", "EPERM"];

export interface FileRights {
  readonly mode: number;
  /** The caller's own where left out. */
  readonly owner?: { readonly user: number; readonly group: number };
}

/**
 * Replaces a file's content. Where the file is a mount point, as /etc/resolv.conf is in containers, or alone in its folder
 * to be writable, as under systemd's ProtectSystem=, it cannot be renamed over, and is written in place. Throws a
 * `VpnError` that names the file where it cannot be written, as on a full disk; then the former content is there still.
 */
export function replaceFile(path: string, content: string | Uint8Array, rights: FileRights): void {
  const bytes = Buffer.from(content);
  try {
    writeBeside(path, bytes, rights);
  } catch (error) {
    const isFile = lstatSync(path, { throwIfNoEntry: false })?.isFile() === true; // what a link leads to is not ours
    if (!isFile || !unmovable.includes((error as NodeJS.ErrnoException).code ?? "")) throw unwritable(path, error);
    overwriteFile(path, bytes);
  }
}

/**
 * Writes over a file that is there, which needs no room but for what is longer than before. Throws a `VpnError` where it
 * cannot be written, with the former content put back; a power cut may leave something between the two.
 */
export function overwriteFile(path: string, content: string | Uint8Array): void {
  try {
    writeOver(path, Buffer.from(content));
  } catch (error) {
    throw unwritable(path, error);
  }
}

function writeOver(path: string, bytes: Uint8Array): void {
  const fd = openSync(path, O_RDWR | O_NOFOLLOW);
  try {
    const former = readFileSync(fd);
    try {
      writeFully(fd, bytes.subarray(former.length), former.length); // first what may find no room, while nothing is lost
      writeFully(fd, bytes.subarray(0, former.length), 0);
      ftruncateSync(fd, bytes.length);
    } catch (error) {
      if (fstatSync(fd).size > former.length) ftruncateSync(fd, former.length);
      writeFully(fd, former, 0);
      throw error;
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function unwritable(path: string, cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === undefined || cause instanceof VpnError) return cause;
  const remedy = code === "ENOSPC" || code === "EDQUOT" ? { remedy: "make room there" } : {};
  const isForbidden = code === "EACCES" || code === "EPERM";
  return new VpnError(isForbidden ? "not-permitted" : "not-available", `cannot write ${path} (${code})`, {
    ...remedy,
    cause,
  });
}

/**
 * Writes all bytes, at a position or where the descriptor stands. write(2) may take a part of them without an error: on a
 * disk that is all but full it takes what there is room for, and only the next one hears ENOSPC, which is thrown.
 */
export function writeFully(fd: number, bytes: Uint8Array, position?: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, position === undefined ? null : position + done);
  }
}

function writeBeside(path: string, bytes: Uint8Array, { mode, owner }: FileRights): void {
  removeUnfinished(path);
  const fresh = besidePath(path);
  const fd = openSync(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    writeFully(fd, bytes);
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
 * Makes a folder that nobody else may look into, if it is not there; the one above it is. Throws `not-permitted` where
 * it is there and others could have put something into it.
 */
export function makePrivateFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 }); // `recursive` would try for ever where the folder above has been deleted
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const status = lstatSync(path);
  if (status.isDirectory() && status.uid === process.geteuid?.() && (status.mode & 0o022) === 0) return;
  if (status.isDirectory() && status.uid === 0 && (status.mode & 0o022) === 0) {
    throw new VpnError("not-permitted", `${path} is root's`, { remedy: "run as root" });
  }
  throw new VpnError("not-permitted", `${path} is not a folder of this user alone`, {
    remedy: "see what is in it, then give it to this user and take from others the right to write there",
  });
}
