/**
 * UDP sockets for `node:dgram` to take over: one address family, one address, and everything set that has to be before
 * the first datagram. The tunnel's own sockets are another matter (`udp-socket.ts`): those belong to the packet path.
 */
import type { Endpoint } from "../base/address.ts";
import { errno as lastErrno, libc } from "./libc.ts";
import { AF_INET, AF_INET6, sockaddrOf } from "./sockaddr.ts";
import { Errno, must, SystemError } from "./system-error.ts";

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0x800 | 0x8_0000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_MARK = 36;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

const bufferBytes = 2_000_000;

export interface DatagramSocketOptions {
  /** Firewall mark (SO_MARK), 0 for none. Needs CAP_NET_ADMIN. */
  readonly mark?: number;
}

/** A socket bound to an address, port 0 for one of the kernel's choice; the caller closes it. Throws `port-taken` and the like. */
export function openDatagramSocket(local: Endpoint, { mark = 0 }: DatagramSocketOptions = {}): number {
  const domain = local.family === 4 ? AF_INET : AF_INET6;
  const subject = `for UDP over IPv${local.family}`;
  const fd = must("socket", libc.socket(domain, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0), { subject });
  try {
    if (local.family === 6) must("setsockopt", set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), { subject });
    if (mark !== 0) must("setsockopt", set(fd, SOL_SOCKET, SO_MARK, mark), { subject: `to ${mark} (SO_MARK)` });
    // Without privilege the kernel grants what net.core.rmem_max and wmem_max allow.
    if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes) < 0) set(fd, SOL_SOCKET, SO_RCVBUF, bufferBytes);
    if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, bufferBytes) < 0) set(fd, SOL_SOCKET, SO_SNDBUF, bufferBytes);
    const name = sockaddrOf(local);
    if (libc.bind(fd, name, name.length) < 0) throw bindError(lastErrno(), local);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Has what is sent cut into datagrams of so many bytes, 0 for not at all. False where the kernel cannot (UDP_SEGMENT, 4.18). */
export function setSegmentBytes(fd: number, bytes: number): boolean {
  return set(fd, SOL_UDP, UDP_SEGMENT, bytes) === 0;
}

/** Sends to a name (`sockaddrOf`), or to what the socket is connected to, and returns 0 or the errno. */
export function sendBytes(fd: number, bytes: Uint8Array, name: Uint8Array | null): number {
  return libc.sendto(fd, bytes, bytes.length, 0, name, name?.length ?? 0) < 0 ? lastErrno() : 0;
}

function bindError(errno: number, local: Endpoint): SystemError {
  const remedies: Readonly<Record<number, string>> = {
    [Errno.EADDRINUSE]: `choose another port, or stop what uses it: \`ss -ulpn sport = :${local.port}\` names it`,
    [Errno.EACCES]: "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another port",
    [Errno.EADDRNOTAVAIL]: `give this machine the address ${local.address} first, or listen on another`,
  };
  return new SystemError("bind", errno, { subject: `to UDP ${local}`, remedy: remedies[errno] });
}

function set(fd: number, level: number, option: number, value: number): number {
  return libc.setsockopt(fd, level, option, new Uint8Array(new Uint32Array([value]).buffer), 4);
}
