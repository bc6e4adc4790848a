/**
 * recvmmsg(2) and sendmmsg(2) over a ring of equal buffers in an arena, for the load that the bench makes itself: one
 * call for many datagrams, each of which is one packet to the tunnel. warren has no use for them, so they are not in
 * `src/os`.
 */
import koffi from "koffi";
import { Arena } from "../../src/os/arena.ts";
import { errno, libc } from "../../src/os/libc.ts";
import { AF_INET } from "../../src/os/sockaddr.ts";
import { Errno, must, SystemError } from "../../src/os/system-error.ts";

const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
export const MSG_DONTWAIT = 0x40;

/** How many datagrams one call carries at most. */
export const batchSize = 64;
const slot = 2048;
/** struct mmsghdr: a msghdr of 56 bytes and the length that was received. */
const Header = { size: 64, vector: 16, count: 24, length: 56 } as const;
const vectorSize = 16;

const library = koffi.load("libc.so.6");
const recvmmsg = library.func("int recvmmsg(int fd, uintptr_t headers, uint count, int flags, uintptr_t timeout)");
const sendmmsg = library.func("int sendmmsg(int fd, uintptr_t headers, uint count, int flags)");

/** `batchSize` buffers of 2,048 bytes, and what the kernel wants to know of them. */
export class DatagramRing implements Disposable {
  readonly view: DataView;
  readonly #arena: Arena;
  readonly #slots: number;

  /** `length` is that of every datagram to be sent; what is received may have any. */
  constructor(length: number = slot) {
    this.#arena = new Arena({ size: 4 * 65_536 });
    this.view = new DataView(this.#arena.buffer);
    const vectors = batchSize * Header.size;
    this.#slots = vectors + batchSize * vectorSize;
    for (let i = 0; i < batchSize; i++) {
      const header = i * Header.size;
      const vector = vectors + i * vectorSize;
      this.view.setBigUint64(header + Header.vector, BigInt(this.#arena.base + vector), true);
      this.view.setBigUint64(header + Header.count, 1n, true);
      this.view.setBigUint64(vector, BigInt(this.#arena.base + this.at(i)), true);
      this.view.setBigUint64(vector + 8, BigInt(length), true);
    }
  }

  /** Offset in `view` of a buffer. */
  at(index: number): number {
    return this.#slots + index * slot;
  }

  /** The length of the datagram that was received into a buffer. */
  lengthOf(index: number): number {
    return this.view.getUint32(index * Header.size + Header.length, true);
  }

  /** How many were received; 0 where none waits. */
  receive(fd: number): number {
    return this.#count("recvmmsg", recvmmsg(fd, this.#arena.base, batchSize, MSG_DONTWAIT, 0));
  }

  /** Sends the first `count` buffers; says how many the kernel took. It waits where the socket's buffer is full. */
  send(fd: number, count: number): number {
    return this.#count("sendmmsg", sendmmsg(fd, this.#arena.base, count, 0));
  }

  [Symbol.dispose](): void {
    this.#arena[Symbol.dispose]();
  }

  #count(call: string, result: number): number {
    if (result >= 0) return result;
    const code = errno();
    const isPassing: readonly number[] = [Errno.EAGAIN, Errno.ENOBUFS, Errno.EINTR];
    if (isPassing.includes(code)) return 0;
    throw new SystemError(call, code);
  }
}

/** A UDP socket for IPv4 with large buffers, in this thread's namespace. */
export function openDatagramSocket(): number {
  const fd = must("socket", libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0));
  const bytes = new Uint8Array(new Uint32Array([16_000_000]).buffer);
  for (const option of [SO_SNDBUFFORCE, SO_RCVBUFFORCE]) {
    must("setsockopt", libc.setsockopt(fd, SOL_SOCKET, option, bytes, 4), { subject: "for large buffers" });
  }
  return fd;
}
