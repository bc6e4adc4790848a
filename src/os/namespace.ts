/**
 * Network namespaces, held by descriptors and never named: when the last descriptor, socket and process of one is gone,
 * the kernel removes it with everything in it, also after a SIGKILL.
 *
 * A namespace belongs to a thread, so it is entered for one synchronous block only. Inside there may be no `await`, no
 * first use of the thread pool and no new Worker: `fs.promises` would see the namespace of the pool's threads, and a
 * Worker would stay behind. A child process spawned inside stays there, and a socket belongs for ever to the namespace
 * it was made in, wherever it is used from.
 */
import { fstatSync } from "node:fs";
import { VpnError } from "../base/errors.ts";
import { libc } from "./libc.ts";
import { must } from "./system-error.ts";

const CLONE_NEWNET = 0x4000_0000;
const O_RDONLY_CLOEXEC = 0x8_0000;

const permission =
  "run as root, or in a user namespace of your own (`unshare -Urn`), which kernel.unprivileged_userns_clone=1, " +
  "user.max_user_namespaces>0 and kernel.apparmor_restrict_unprivileged_userns=0 allow";

export class NetworkNamespace implements Disposable {
  /** Open for as long as this object is; for `InterfaceConfig.links.move` and the like. */
  readonly fd: number;

  /** Takes over a descriptor that stands for a namespace. */
  constructor(fd: number) {
    this.fd = fd;
  }

  /** A new, empty namespace whose loopback interface is down. The thread stays where it is. */
  static create(): NetworkNamespace {
    using home = NetworkNamespace.current();
    must("unshare", libc.unshare(CLONE_NEWNET), { subject: "for a network namespace", remedy: permission });
    try {
      return NetworkNamespace.current();
    } finally {
      enter(home);
    }
  }

  /** The namespace that this thread is in. */
  static current(): NetworkNamespace {
    const path = "/proc/thread-self/ns/net";
    return new NetworkNamespace(must("open", libc.open(path, O_RDONLY_CLOEXEC, 0), { subject: path }));
  }

  /** What `readlink /proc/PID/ns/net` shows for a process in this namespace. */
  toString(): string {
    return `net:[${fstatSync(this.fd).ino}]`;
  }

  /**
   * Runs one synchronous action inside and comes back, also when it throws. An action that returns a promise throws. To
   * change the namespace takes CAP_SYS_ADMIN; where the thread is in it already, nothing is needed.
   */
  run<T>(action: () => T): T {
    using home = NetworkNamespace.current();
    const isAway = String(home) !== String(this);
    if (isAway) enter(this);
    let result: T;
    try {
      result = action();
    } finally {
      if (isAway) enter(home);
    }
    if (isThenable(result)) {
      throw new VpnError("invalid-argument", "what runs inside a namespace must be synchronous", {
        remedy: "do there only what needs the namespace, and await outside",
      });
    }
    return result;
  }

  [Symbol.dispose](): void {
    libc.close(this.fd);
  }
}

function enter(namespace: NetworkNamespace): void {
  const subject = `to ${namespace}`; // asked for here, since that, too, is a system call and leaves an errno
  must("setns", libc.setns(namespace.fd, CLONE_NEWNET), { subject, remedy: permission });
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
