/**
 * Exclusive locks on files (flock(2)). The kernel gives them up when the process ends, however it ends, so that a lock
 * that is held says that its holder lives.
 */
import { closeSync, constants, openSync } from "node:fs";
import { libc } from "./libc.ts";
import { Errno, must, SystemError } from "./system-error.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDWR } = constants; // Node adds O_CLOEXEC: no child keeps the lock

export class FileLock implements Disposable {
  /** Of the file, open for reading and for writing at its end. */
  readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Waits, without letting anything else run, for what others do under this lock: let that be short. */
  static acquire(path: string): FileLock {
    return lock(path, LOCK_EX, (fd) => new FileLock(fd)) ?? FileLock.acquire(path);
  }

  /** `undefined` where it is held already, be it by this process. */
  static tryAcquire(path: string): FileLock | undefined {
    return lock(path, LOCK_EX | LOCK_NB, (fd) => new FileLock(fd));
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

function lock<T>(path: string, operation: number, done: (fd: number) => T): T | undefined {
  const fd = openSync(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    must("flock", libc.flock(fd, operation), { subject: `of ${path}` });
    return done(fd);
  } catch (error) {
    closeSync(fd);
    const again: readonly number[] = [Errno.EAGAIN, Errno.EINTR];
    if (error instanceof SystemError && again.includes(error.errno)) return undefined;
    throw error;
  }
}
