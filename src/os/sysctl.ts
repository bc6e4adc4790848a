/**
 * Kernel parameters under /proc/sys, of the network namespace that the thread is in: reading and writing is synchronous
 * so that it works inside `NetworkNamespace.run`. `set` returns what there was before, for whoever has to put it back.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { VpnError } from "../base/errors.ts";
import { Errno, SystemError } from "./system-error.ts";

export const Sysctl = {
  /** The value of a parameter such as `net/ipv4/ip_forward`: with slashes, since an interface's name may hold a dot. */
  get(parameter: string): string {
    const path = pathOf(parameter);
    return attempt("read", parameter, () => readFileSync(path, "utf8").trim());
  },

  /** Sets a parameter. Returns the former value, or `undefined` where it was so already and nothing was written. */
  set(parameter: string, value: string | number): string | undefined {
    const former = Sysctl.get(parameter);
    if (former === String(value)) return undefined;
    attempt("write", parameter, () => writeFileSync(pathOf(parameter), `${value}\n`));
    return former;
  },
};

function pathOf(parameter: string): string {
  if (!/^[\w.-]+(\/[\w.@%+:-]+)+$/.test(parameter) || parameter.split("/").includes("..")) {
    throw new VpnError("invalid-argument", `${JSON.stringify(parameter)} is not a kernel parameter`, {
      remedy: "write it like net/ipv4/ip_forward",
    });
  }
  return `/proc/sys/${parameter}`;
}

function attempt<T>(syscall: string, parameter: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error && "errno" in error && typeof error.errno === "number")) throw error;
    const errno = -error.errno;
    throw new SystemError(syscall, errno, {
      subject: `of ${parameter}`,
      remedy: remedy(errno, parameter),
      cause: error,
    });
  }
}

function remedy(errno: number, parameter: string): string | undefined {
  switch (errno) {
    case Errno.ENOENT:
      return "this kernel, or this namespace, does not have it: is IPv6 off, or the interface gone?";
    case Errno.EROFS:
      return `/proc/sys is read-only here, as in most containers: set it from outside, \`--sysctl ${parameter.replaceAll("/", ".")}=...\``;
    case Errno.EINVAL:
      return "the kernel does not take that value";
    default:
      return undefined; // SystemError knows what to say about permissions
  }
}
