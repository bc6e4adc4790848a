/** What the kernel refused, as an error that names the call, the errno, and what to do about it. */
import { getSystemErrorName } from "node:util";
import { VpnError, type VpnErrorCode } from "../base/errors.ts";
import { errno as lastErrno } from "./libc.ts";

/** The errno values that warren acts upon, Linux, same on x86-64 and arm64. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOSPC: 28,
  EROFS: 30,
  EBADFD: 77,
  EMSGSIZE: 90,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  EHOSTUNREACH: 113,
  EINPROGRESS: 115,
} as const;

const codes: Readonly<Record<number, VpnErrorCode>> = {
  [Errno.EPERM]: "not-permitted",
  [Errno.EACCES]: "not-permitted",
  [Errno.ENOENT]: "not-available",
  [Errno.ENODEV]: "not-available",
  [Errno.EADDRINUSE]: "port-taken",
};

export interface SystemErrorOptions {
  /** What could not be done, where the call's name tells nobody. The call then stands in brackets. */
  readonly what?: string;
  /** What the call was about, for the message: "for 10.8.0.1/24 on wg0". */
  readonly subject?: string;
  readonly remedy?: string | undefined;
  readonly code?: VpnErrorCode;
  readonly cause?: unknown;
}

export class SystemError extends VpnError {
  readonly syscall: string;
  readonly errno: number;
  /** The errno's name, such as `EPERM`. */
  readonly errnoName: string;

  constructor(syscall: string, errno: number, options: SystemErrorOptions = {}) {
    const name = errnoName(errno);
    const subject = options.subject === undefined ? "" : ` ${options.subject}`;
    const remedy =
      options.remedy ?? (codes[errno] === "not-permitted" ? "run as root or with CAP_NET_ADMIN" : undefined);
    const { what } = options;
    const message = what === undefined ? `${syscall}${subject} failed with ${name}` : `${what} (${syscall}: ${name})`;
    super(options.code ?? codes[errno] ?? "system-call-failed", message, {
      ...(remedy === undefined ? {} : { remedy }),
      ...(options.cause === undefined ? {} : { cause: options.cause }),
    });
    this.name = "SystemError";
    this.syscall = syscall;
    this.errno = errno;
    this.errnoName = name;
  }
}

/** Linux's own name: libuv, which names the others, calls EOPNOTSUPP ENOTSUP and does not know EBADFD. */
export function errnoName(errno: number): string {
  const known = Object.entries(Errno).find(([, value]) => value === errno);
  return known === undefined ? getSystemErrorName(-errno) : known[0];
}

/** Passes a call's result through; throws `SystemError` where it is negative. Call it on the result, straight away. */
export function must(syscall: string, result: number, options: SystemErrorOptions = {}): number {
  if (result >= 0) return result;
  throw new SystemError(syscall, lastErrno(), options);
}

/** Whether a refusal to send may be for the wish to send from an address that is not ours (any more). */
export function refusesSource(errno: number): boolean {
  // EINVAL of IPv6 and of older kernels; ENETUNREACH of IPv4 on Linux 6.18 (net/ipv4/route.c, ip_route_output_key_hash_rcu).
  return errno === Errno.EINVAL || errno === Errno.EADDRNOTAVAIL || errno === Errno.ENETUNREACH;
}
