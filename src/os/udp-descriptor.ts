/**
 * What every UDP socket begins as: of one address family, non-blocking, marked before it sends anything, with large
 * buffers; and its binding, with what to do where that is refused. `udp-socket.ts` and `datagram-socket.ts` are made of it.
 */
import type { AddressFamily, Endpoint } from "../base/address.ts";
import { errno as lastErrno, libc } from "./libc.ts";
import { AF_INET, AF_INET6, sockaddrOf } from "./sockaddr.ts";
import { Errno, must, SystemError } from "./system-error.ts";

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0x800 | 0x8_0000;
export const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_MARK = 36;
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

export interface UdpDescriptorOptions {
  /** Firewall mark (SO_MARK), 0 for none. Needs CAP_NET_ADMIN. */
  readonly mark?: number | undefined;
  /** Asked for in each direction; without privilege the kernel grants less (net.core.rmem_max, wmem_max). */
  readonly bufferBytes: number;
}

/** How errors of `bindUdp` name what the operator can choose. */
export interface BindWords {
  /** Such as "ListenPort". */
  readonly port: string;
  /** Such as "listen on another". */
  readonly otherAddress: string;
}

/** A socket without a name; the caller closes it. Throws `not-permitted` and the like. */
export function openUdpDescriptor(family: AddressFamily, { mark = 0, bufferBytes }: UdpDescriptorOptions): number {
  const domain = family === 4 ? AF_INET : AF_INET6;
  const fd = must("socket", libc.socket(domain, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0), {
    subject: `for UDP over IPv${family}`,
  });
  try {
    if (family === 6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "for IPv6 only");
    if (mark !== 0) markDescriptor(fd, mark);
    if (!trySetOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes))
      trySetOption(fd, SOL_SOCKET, SO_RCVBUF, bufferBytes);
    if (!trySetOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, bufferBytes))
      trySetOption(fd, SOL_SOCKET, SO_SNDBUF, bufferBytes);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Changes the firewall mark of what is sent from now on; 0 for none. Throws `not-permitted`. */
export function markDescriptor(fd: number, mark: number): void {
  setOption(fd, SOL_SOCKET, SO_MARK, mark, `to ${mark} (SO_MARK)`);
}

/** Gives it an address and a port, 0 for one of the kernel's choice. Throws `port-taken` and the like. */
export function bindUdp(fd: number, local: Endpoint, words: BindWords): void {
  const name = sockaddrOf(local);
  if (libc.bind(fd, name, name.length) === 0) return;
  const errno = lastErrno();
  const remedies: Readonly<Record<number, string>> = {
    [Errno.EADDRINUSE]: `choose another ${words.port}, or stop what uses it: \`ss -ulpn sport = :${local.port}\` names it`,
    [Errno.EACCES]: `ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another ${words.port}`,
    [Errno.EADDRNOTAVAIL]: `give this machine the address ${local.address} first, or ${words.otherAddress}`,
  };
  throw new SystemError("bind", errno, { subject: `to UDP ${local}`, remedy: remedies[errno] });
}

export function setOption(fd: number, level: number, option: number, value: number, subject: string): void {
  must("setsockopt", libc.setsockopt(fd, level, option, intBytes(value), 4), { subject });
}

/** Whether the kernel took it. */
export function trySetOption(fd: number, level: number, option: number, value: number): boolean {
  return libc.setsockopt(fd, level, option, intBytes(value), 4) === 0;
}

/** The option's value; -1 where the kernel does not have it. */
export function getOption(fd: number, level: number, option: number): number {
  const value = intBytes(0);
  if (libc.getsockopt(fd, level, option, value, intBytes(4)) < 0) return -1;
  return new DataView(value.buffer).getInt32(0, true);
}

export function intBytes(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}
