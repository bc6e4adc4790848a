/**
 * The tunnel's UDP sockets, one for IPv4 and one for IPv6 on the same port, made with everything that must be set
 * before the first datagram: the mark that keeps them out of a tunnel which takes all routes, large buffers, and the
 * kernel's offloads for sending (UDP_SEGMENT) and receiving (UDP_GRO) many datagrams in one call. The packet path uses
 * the descriptors itself; what sends here is the rare message of a handshake.
 */
import { type AddressFamily, Endpoint, IpAddress } from "../base/address.ts";
import { libc } from "./libc.ts";
import { decodeSockaddr, sockaddrSize } from "./sockaddr.ts";
import { Errno, must, SystemError } from "./system-error.ts";
import {
  bindUdp,
  getOption,
  IPPROTO_IPV6,
  markDescriptor,
  openUdpDescriptor,
  SO_RCVBUF,
  SOL_SOCKET,
  SOL_UDP,
  setOption,
  trySetOption,
  UDP_SEGMENT,
} from "./udp-descriptor.ts";

const UDP_GRO = 104;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const IP_RECVTOS = 13;
const IPV6_RECVPKTINFO = 49;
const IPV6_RECVTCLASS = 66;

const megabyte = 1_000_000;
/** A port that is free for IPv4 may be taken for IPv6; this many free ones are tried. */
const portAttempts = 32;

export interface UdpSocketOptions {
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Firewall mark (SO_MARK), set before anything is sent. Needs CAP_NET_ADMIN. */
  readonly mark?: number;
  /** Asked for in each direction; without privilege the kernel grants less (net.core.rmem_max, wmem_max). */
  readonly bufferBytes?: number;
  /** The local addresses; all of them where left out. */
  readonly v4Address?: IpAddress;
  readonly v6Address?: IpAddress;
  /** "none" leaves both offloads off. */
  readonly offloads?: "probe" | "none";
  /** False leaves the one for receiving off, for kernels that break it. */
  readonly receiveOffload?: boolean;
  /** Whether received messages carry the local address they came to (IP_PKTINFO, IPV6_PKTINFO). */
  readonly localAddresses?: boolean;
  /** Whether received messages carry the type of service or traffic class (IP_TOS, IPV6_TCLASS), for ECN. */
  readonly trafficClass?: boolean;
}

export interface UdpOffloads {
  /** UDP_SEGMENT works: one send of many datagrams of equal length. */
  readonly segmentation: boolean;
  /** UDP_GRO is on: a receive may return many datagrams, with their length in a control message. */
  readonly receiveOffload: boolean;
}

export class UdpSockets implements Disposable {
  readonly v4: number;
  /** `undefined` where the kernel has no IPv6. */
  readonly v6: number | undefined;
  readonly port: number;
  readonly offloads: UdpOffloads;
  /** What the kernel granted for receiving, in bytes. */
  readonly receiveBufferBytes: number;

  constructor(v4: number, v6: number | undefined, port: number, offloads: UdpOffloads) {
    this.v4 = v4;
    this.v6 = v6;
    this.port = port;
    this.offloads = offloads;
    this.receiveBufferBytes = getOption(v4, SOL_SOCKET, SO_RCVBUF) / 2; // the kernel reports its bookkeeping with it
  }

  [Symbol.dispose](): void {
    libc.close(this.v4);
    if (this.v6 !== undefined) libc.close(this.v6);
  }
}

/** Opens both sockets in the network namespace of this thread. Throws `port-taken`, `not-permitted` and the like. */
export function openUdpSockets(options: UdpSocketOptions): UdpSockets {
  for (let attempt = 1; ; attempt++) {
    const v4 = openSocket(4, options);
    let v6: number | undefined;
    try {
      const port = bindSocket(v4, new Endpoint(options.v4Address ?? IpAddress.parse("0.0.0.0"), options.port));
      v6 = openIpv6(port, options);
      return new UdpSockets(v4, v6, port, enableOffloads(v4, v6, options));
    } catch (error) {
      libc.close(v4);
      if (v6 !== undefined) libc.close(v6);
      const taken = error instanceof SystemError && error.errno === Errno.EADDRINUSE;
      if (!taken || options.port !== 0 || attempt === portAttempts) throw error;
    }
  }
}

/** Changes the firewall mark of what is sent from now on; 0 for none. Throws `not-permitted`. */
export function markSocket(fd: number, mark: number): void {
  markDescriptor(fd, mark);
}

/** What this kernel's sockets can do, found on one that has no port. */
export function probeUdpOffloads(): UdpOffloads {
  const fd = openSocket(4, { port: 0 });
  try {
    return enableOffloads(fd, undefined, { port: 0 });
  } finally {
    libc.close(fd);
  }
}

/**
 * A UDP socket of this thread's network namespace for IPv4, on loopback, on a port of the kernel's choice. The caller
 * closes it.
 */
export function openLoopbackSocket(offloads: "probe" | "none"): { readonly fd: number; readonly local: Endpoint } {
  const fd = openSocket(4, { port: 0 });
  try {
    const address = IpAddress.parse("127.0.0.1");
    const port = bindSocket(fd, new Endpoint(address, 0));
    enableOffloads(fd, undefined, { port, offloads });
    return { fd, local: new Endpoint(address, port) };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function openSocket(family: AddressFamily, options: UdpSocketOptions): number {
  const fd = openUdpDescriptor(family, { mark: options.mark, bufferBytes: options.bufferBytes ?? 7 * megabyte });
  try {
    if (options.localAddresses === true) {
      const [level, option] = family === 4 ? [IPPROTO_IP, IP_PKTINFO] : [IPPROTO_IPV6, IPV6_RECVPKTINFO];
      setOption(fd, level, option, 1, "for local addresses");
    }
    if (options.trafficClass === true) {
      const [level, option] = family === 4 ? [IPPROTO_IP, IP_RECVTOS] : [IPPROTO_IPV6, IPV6_RECVTCLASS];
      setOption(fd, level, option, 1, "for the traffic class");
    }
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** The IPv6 socket on the port that IPv4 got. A machine without IPv6 is not a failure, unless an address was asked for. */
function openIpv6(port: number, options: UdpSocketOptions): number | undefined {
  let fd: number | undefined;
  try {
    fd = openSocket(6, options);
    bindSocket(fd, new Endpoint(options.v6Address ?? IpAddress.parse("::"), port));
    return fd;
  } catch (error) {
    if (fd !== undefined) libc.close(fd);
    const absent =
      error instanceof SystemError && (error.errno === Errno.EAFNOSUPPORT || error.errno === Errno.EADDRNOTAVAIL);
    if (absent && options.v6Address === undefined) return undefined;
    throw error;
  }
}

/** Binds and returns the port, which the kernel chose where the endpoint's is 0. */
function bindSocket(fd: number, local: Endpoint): number {
  bindUdp(fd, local, { port: "ListenPort", otherAddress: "leave the address out" });
  const bound = new Uint8Array(sockaddrSize);
  must("getsockname", libc.getsockname(fd, bound, new Uint8Array(new Uint32Array([bound.length]).buffer)));
  return decodeSockaddr(bound)?.port ?? local.port;
}

function enableOffloads(v4: number, v6: number | undefined, options: UdpSocketOptions): UdpOffloads {
  if (options.offloads === "none") return { segmentation: false, receiveOffload: false };
  const sockets = v6 === undefined ? [v4] : [v4, v6];
  return {
    // An option the kernel does not know gives ENOPROTOOPT. UDP_GRO cannot be asked for before Linux 5.12, only set.
    segmentation: sockets.every((fd) => getOption(fd, SOL_UDP, UDP_SEGMENT) >= 0),
    receiveOffload:
      options.receiveOffload !== false && sockets.map((fd) => trySetOption(fd, SOL_UDP, UDP_GRO, 1)).every(Boolean),
  };
}
