/**
 * UDP sockets for `node:dgram` to take over: one address family, one address, and everything set that has to be before
 * the first datagram. The tunnel's own sockets are another matter (`udp-socket.ts`): those belong to the packet path.
 */
import type { Endpoint } from "../base/address.ts";
import { errno as lastErrno, libc } from "./libc.ts";
import { bindUdp, openUdpDescriptor, SOL_UDP, trySetOption, UDP_SEGMENT } from "./udp-descriptor.ts";

const bufferBytes = 2_000_000;

export interface DatagramSocketOptions {
  /** Firewall mark (SO_MARK), 0 for none. Needs CAP_NET_ADMIN. */
  readonly mark?: number;
}

/** A socket bound to an address, port 0 for one of the kernel's choice; the caller closes it. Throws `port-taken` and the like. */
export function openDatagramSocket(local: Endpoint, { mark = 0 }: DatagramSocketOptions = {}): number {
  const fd = openUdpDescriptor(local.family, { mark, bufferBytes });
  try {
    bindUdp(fd, local, { port: "port", otherAddress: "listen on another" });
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Has what is sent cut into datagrams of so many bytes, 0 for not at all. False where the kernel cannot (UDP_SEGMENT, 4.18). */
export function setSegmentBytes(fd: number, bytes: number): boolean {
  return trySetOption(fd, SOL_UDP, UDP_SEGMENT, bytes);
}

/** Sends to a name (`sockaddrOf`), or to what the socket is connected to, and returns 0 or the errno. */
export function sendBytes(fd: number, bytes: Uint8Array, name: Uint8Array | null): number {
  return libc.sendto(fd, bytes, bytes.length, 0, name, name?.length ?? 0) < 0 ? lastErrno() : 0;
}
