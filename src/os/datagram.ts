/**
 * One datagram on its way out of the main thread: the rare message of a handshake. What workers send in batches they
 * send by themselves.
 */
import type { Endpoint, LocalAddress } from "../base/address.ts";
import { Arena } from "./arena.ts";
import { type Address, errno, libc } from "./libc.ts";
import { encodeSockaddr, PacketInfo4, PacketInfo6, sockaddrSize } from "./sockaddr.ts";
import { Errno, refusesSource } from "./system-error.ts";

const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;

const name = new Uint8Array(sockaddrSize);

/**
 * Sends one datagram and returns 0, or the errno of what the network said: the protocol sends again in its own time. A
 * destination of a family without a socket gives EAFNOSUPPORT. It leaves from the address that the endpoint was spoken
 * to by, if that is known; where it is ours no more the kernel chooses another.
 */
export function sendDatagram(
  sockets: { readonly v4: number; readonly v6: number | undefined },
  bytes: Uint8Array,
  endpoint: Endpoint,
): number {
  const fd = endpoint.family === 4 ? sockets.v4 : sockets.v6;
  if (fd === undefined) return Errno.EAFNOSUPPORT;
  if (endpoint.local !== undefined && bytes.length <= Layout.room) {
    const refusal = sendFrom(fd, bytes, endpoint, endpoint.local);
    if (!refusesSource(refusal)) return refusal;
  }
  const length = encodeSockaddr(endpoint, name);
  return libc.sendto(fd, bytes, bytes.length, 0, name, length) < 0 ? errno() : 0;
}

/** struct msghdr, its name, its one control message, its one entry of the I/O vector, and the datagram. */
const Layout = { header: 0, name: 64, vector: 96, control: 128, data: 192, room: 65_536 - 192 } as const;
const controlHeader = 16;
let arena: Arena | undefined;

function sendFrom(fd: number, bytes: Uint8Array, endpoint: Endpoint, local: LocalAddress): number {
  arena ??= new Arena({ size: 65_536 });
  const memory = new Uint8Array(arena.buffer);
  const { size, type, local: address } = endpoint.family === 4 ? PacketInfo4 : PacketInfo6;
  memory.fill(0, 0, Layout.data);
  memory.set(bytes, Layout.data);
  const words = new Int32Array(arena.buffer);
  const put = (at: number, value: number) => {
    words[at / 4] = value;
  };
  const pointer = (at: number, to: number) => {
    new BigUint64Array(memory.buffer, at, 1)[0] = BigInt((arena?.base ?? 0) + to);
  };
  pointer(Layout.header, Layout.name);
  put(Layout.header + 8, encodeSockaddr(endpoint, memory, Layout.name));
  pointer(Layout.header + 16, Layout.vector);
  put(Layout.header + 24, 1);
  pointer(Layout.vector, Layout.data);
  put(Layout.vector + 8, bytes.length);
  pointer(Layout.header + 32, Layout.control);
  put(Layout.header + 40, (controlHeader + size + 7) & ~7);
  put(Layout.control, controlHeader + size);
  put(Layout.control + 8, endpoint.family === 4 ? IPPROTO_IP : IPPROTO_IPV6);
  put(Layout.control + 12, type);
  memory.set(local.address.bytes, Layout.control + controlHeader + address);
  const header: Address = arena.base + Layout.header;
  return libc.sendmsg(fd, header, 0) < 0 ? errno() : 0;
}
