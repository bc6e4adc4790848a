/** Which run of the machine this is, and which of its namespaces: names by which processes know each other's place. */
import { readFileSync, readlinkSync } from "node:fs";
import { libc } from "./libc.ts";
import { NetworkNamespace } from "./namespace.ts";
import { must } from "./system-error.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;

/** Differs after every start of the machine. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** The namespace in which this process has its number, such as `pid:[4026531836]`. */
export function pidNamespaceId(): string {
  return readlinkSync("/proc/self/ns/pid");
}

/**
 * A name for this thread's network namespace, fit for a file: `net-1` is the machine's own. The kernel numbers namespaces
 * since 5.14 and gives no number twice; before, an inode's number has to do, which may come again.
 */
export function networkNamespaceId(): string {
  const fd = must("socket", libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0));
  try {
    const cookie = new BigUint64Array(1);
    const length = Uint32Array.of(8);
    const bytes = new Uint8Array(cookie.buffer);
    if (libc.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, bytes, new Uint8Array(length.buffer)) === 0) {
      return `net-${cookie[0]}`;
    }
  } finally {
    libc.close(fd);
  }
  using namespace = NetworkNamespace.current();
  return `net-inode-${/[0-9]+/.exec(String(namespace))?.[0]}`;
}
