/**
 * Mount namespaces, held by descriptors like network namespaces: a view of the files of its own for the processes that
 * are started in it. Needs root, real or of a user namespace.
 *
 * A thread may enter one only when it shares its root and current folder with no other thread, which is so from the first
 * `create` on; the threads of the pool stay where they are, so inside `run` files are read and written synchronously.
 */
import { libc } from "./libc.ts";
import { must } from "./system-error.ts";

const CLONE_NEWNS = 0x2_0000;
const O_RDONLY_CLOEXEC = 0x8_0000;
const MS_NOSUID_NODEV = 2 | 4;
const MS_BIND = 0x1000;
const MS_REC_PRIVATE = 0x4000 | 0x4_0000;

export class MountNamespace implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** A copy of what this thread sees, of whose further changes nobody outside learns. The thread stays where it is. */
  static create(): MountNamespace {
    const folder = process.cwd();
    using home = MountNamespace.#current();
    must("unshare", libc.unshare(CLONE_NEWNS), { subject: "for a mount namespace" });
    try {
      must("mount", libc.mount("none", "/", "none", MS_REC_PRIVATE, null), { subject: "to make / private" });
      return MountNamespace.#current();
    } finally {
      home.#enter(folder);
    }
  }

  /** Runs one synchronous action inside and comes back, also when it throws. */
  run<T>(action: () => T): T {
    const folder = process.cwd();
    using home = MountNamespace.#current();
    this.#enter(folder);
    try {
      return action();
    } finally {
      home.#enter(folder);
    }
  }

  [Symbol.dispose](): void {
    libc.close(this.#fd);
  }

  static #current(): MountNamespace {
    const path = "/proc/thread-self/ns/mnt";
    return new MountNamespace(must("open", libc.open(path, O_RDONLY_CLOEXEC, 0), { subject: path }));
  }

  /** Entering leads to the root folder; `folder` is where we were. */
  #enter(folder: string): void {
    must("setns", libc.setns(this.#fd, CLONE_NEWNS), { subject: "to a mount namespace" });
    process.chdir(folder);
  }
}

/** Mounts an empty file system in memory over a folder, for whoever is in this thread's mount namespace. */
export function mountMemory(target: string): void {
  must("mount", libc.mount("tmpfs", target, "tmpfs", MS_NOSUID_NODEV, "mode=0755"), {
    subject: `of a tmpfs on ${target}`,
  });
}

/** Puts a file in the place of another, for whoever is in this thread's mount namespace. Both must be there. */
export function mountFile(source: string, target: string): void {
  must("mount", libc.mount(source, target, "none", MS_BIND, null), { subject: `of ${source} on ${target}` });
}
