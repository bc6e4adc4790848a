/**
 * Listening sockets in the file system. Node could make them, but would remove whatever lies at the path when it closes
 * its server, be it another's.
 */
import { errno, libc } from "./libc.ts";
import { SystemError } from "./system-error.ts";

const AF_UNIX = 1;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0x800 | 0x8_0000;
const backlog = 128;
const ownerOnly = 0o177;

/** struct sockaddr_un. */
const SockaddrUn = { family: 0, path: 2, pathSize: 108 } as const;

/**
 * Makes a socket of mode 0600 at a path and listens on it. Returns its descriptor, which the caller closes; the file
 * stays. Throws `SystemError`, with EADDRINUSE where something lies there. On the main thread only, which owns the umask.
 */
export function listenUnix(path: string): number {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length >= SockaddrUn.pathSize) {
    throw new SystemError("bind", 36, { subject: `of ${path}`, remedy: "use a shorter path" });
  }
  const name = new Uint8Array(SockaddrUn.path + bytes.length + 1);
  new DataView(name.buffer).setUint16(SockaddrUn.family, AF_UNIX, true);
  name.set(bytes, SockaddrUn.path);
  const fd = libc.socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw new SystemError("socket", errno(), { subject: "for AF_UNIX" });
  const failed = bind(fd, name) ?? (libc.listen(fd, backlog) < 0 ? { syscall: "listen", errno: errno() } : undefined);
  if (failed === undefined) return fd;
  libc.close(fd);
  throw new SystemError(failed.syscall, failed.errno, { subject: `of ${path}` });
}

/** The file's mode is that of the umask in the moment of `bind`: there is none in which others could connect. */
function bind(fd: number, name: Uint8Array): { syscall: string; errno: number } | undefined {
  const before = process.umask(ownerOnly);
  try {
    return libc.bind(fd, name, name.length) < 0 ? { syscall: "bind", errno: errno() } : undefined;
  } finally {
    process.umask(before);
  }
}
