/**
 * TCP sockets that carry packets, made by FFI so that whatever has to be set before the first segment, such as a mark,
 * is set here. Those of `classic` are polled, read and written in the loop of a worker; those of the stream transports
 * are handed to `node:net`. All are non-blocking, send small writes at once, and notice within half a minute that the
 * other side has vanished.
 */
import type { AddressFamily, Endpoint } from "../base/address.ts";
import { errno, libc } from "./libc.ts";
import { AF_INET, AF_INET6, decodeSockaddr, sockaddrOf, sockaddrSize } from "./sockaddr.ts";
import { Errno, must, SystemError } from "./system-error.ts";

const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0x800 | 0x8_0000;
const SOCK_NONBLOCK_CLOEXEC = 0x800 | 0x8_0000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_KEEPALIVE = 9;
const SO_MARK = 36;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;
const TCP_NOTSENT_LOWAT = 25;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

const backlog = 64;
const keepaliveIdleSeconds = 10;
const keepaliveIntervalSeconds = 5;
const keepaliveCount = 3;
const unacknowledgedMs = 25_000;
/**
 * What the kernel takes beyond what it could send by now. Its send buffer grows to megabytes, in which a datagram would
 * wait for seconds behind others that are worth nothing any more (the bufferbloat of TCP in TCP).
 */
const unsentBytes = 131_072;

const exhausted: readonly number[] = [Errno.ENFILE, Errno.EMFILE, Errno.ENOBUFS, Errno.ENOMEM];

/** A connection somebody made to us. */
export interface AcceptedSocket {
  readonly fd: number;
  readonly remote: Endpoint;
}

/**
 * Listens on an address in the network namespace of this thread; the caller closes it. Throws `port-taken` and the like.
 * What is set here, the mark included, holds for accepted connections, too: the kernel clones the listener
 * (net/ipv4/inet_connection_sock.c, inet_csk_clone_lock).
 */
export function openTcpListener(local: Endpoint, mark = 0): number {
  const fd = createTcpSocket(local.family, mark);
  try {
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    setOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsentBytes);
    if (local.family === 6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    const name = sockaddrOf(local);
    if (libc.bind(fd, name, name.length) < 0) throw bindError(errno(), local);
    if (libc.listen(fd, backlog) < 0) throw bindError(errno(), local, "listen");
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/**
 * The next connection that waits; `undefined` where none does, or it has gone again. Throws where this process or the
 * machine has no descriptor or memory left for it: it then waits on, so a listener that is polled stays ready.
 */
export function acceptTcp(listener: number): AcceptedSocket | undefined {
  const name = new Uint8Array(sockaddrSize);
  const fd = libc.accept4(listener, name, intBytes(name.length), SOCK_NONBLOCK_CLOEXEC);
  if (fd < 0) {
    const failure = errno();
    if (exhausted.includes(failure)) throw new SystemError("accept4", failure, { subject: "of a TCP connection" });
    return undefined;
  }
  const remote = decodeSockaddr(name);
  if (remote === undefined) {
    libc.close(fd);
    return undefined;
  }
  prepare(fd);
  return { fd, remote };
}

/**
 * Begins to connect; the descriptor becomes writable when it is done or has failed, and `connectionError` then says
 * which. A mark other than 0 (SO_MARK) is on every segment and needs CAP_NET_ADMIN. Throws a `SystemError` where the
 * network refuses at once.
 */
export function connectTcp(remote: Endpoint, mark = 0): number {
  const fd = createTcpSocket(remote.family, mark);
  try {
    const name = sockaddrOf(remote);
    if (libc.connect(fd, name, name.length) < 0) {
      const failure = errno();
      if (failure !== Errno.EINPROGRESS) throw new SystemError("connect", failure, { subject: `to TCP ${remote}` });
    }
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** A socket for `node:net` to connect, which the caller closes. The mark, if not 0, is on it already. */
export function createStreamSocket(family: AddressFamily, mark = 0): number {
  const fd = createTcpSocket(family, mark);
  try {
    setOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsentBytes);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** What became of a connection that was begun, or ended it: `undefined` while nothing is wrong. */
export function connectionError(fd: number, remote: Endpoint): SystemError | undefined {
  const value = intBytes(0);
  must("getsockopt", libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, intBytes(4)));
  const failure = new DataView(value.buffer).getInt32(0, true);
  return failure === 0 ? undefined : new SystemError("connect", failure, { subject: `to TCP ${remote}` });
}

function createTcpSocket(family: AddressFamily, mark: number): number {
  const domain = family === 4 ? AF_INET : AF_INET6;
  const subject = `for TCP over IPv${family}`;
  const fd = must("socket", libc.socket(domain, SOCK_STREAM_NONBLOCK_CLOEXEC, 0), { subject });
  try {
    prepare(fd);
    if (mark !== 0) setOption(fd, SOL_SOCKET, SO_MARK, mark);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function prepare(fd: number): void {
  setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepaliveIdleSeconds);
  setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, keepaliveIntervalSeconds);
  setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, keepaliveCount);
  setOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, unacknowledgedMs);
}

function bindError(errno: number, local: Endpoint, syscall = "bind"): SystemError {
  const remedies: Readonly<Record<number, string>> = {
    [Errno.EADDRINUSE]: `choose another port, or stop what uses it: \`ss -tlpn sport = :${local.port}\` names it`,
    [Errno.EACCES]: "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another port",
    [Errno.EADDRNOTAVAIL]: `give this machine the address ${local.address} first, or listen on another`,
  };
  return new SystemError(syscall, errno, { subject: `to TCP ${local}`, remedy: remedies[errno] });
}

function setOption(fd: number, level: number, option: number, value: number): void {
  must("setsockopt", libc.setsockopt(fd, level, option, intBytes(value), 4));
}

function intBytes(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}
