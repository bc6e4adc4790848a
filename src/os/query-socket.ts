/**
 * A UDP socket for one question and its answer, past the tunnel: with its mark, and connected, so that the kernel picks
 * a random port and hands over nothing that did not come from where the question went. On the main thread, which hears
 * of an answer by SIGIO (`readable-signal.ts`).
 */
import type { Endpoint } from "../base/address.ts";
import { errno, libc } from "./libc.ts";
import { u32 } from "./netlink-message.ts";
import { onReadable } from "./readable-signal.ts";
import { AF_INET, AF_INET6, sockaddrOf } from "./sockaddr.ts";
import { Errno, must, SystemError } from "./system-error.ts";

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0x800 | 0x8_0000;
const SOL_SOCKET = 1;
const SO_MARK = 36;
const largest = 65_535;

export class QuerySocket implements Disposable {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(largest);
  #readable: Disposable | undefined;
  #isClosed = false;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** In the network namespace of this thread. Throws a `SystemError` where there is no way to `remote`. */
  static open(remote: Endpoint, mark: number): QuerySocket {
    const family = remote.family === 4 ? AF_INET : AF_INET6;
    const subject = `to ask ${remote}`;
    const fd = must("socket", libc.socket(family, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0), { subject });
    try {
      if (mark !== 0) must("setsockopt", libc.setsockopt(fd, SOL_SOCKET, SO_MARK, u32(mark), 4), { subject });
      const name = sockaddrOf(remote);
      must("connect", libc.connect(fd, name, name.length), { subject });
      return new QuerySocket(fd);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  /** Throws a `SystemError` where the network refuses the question. */
  send(bytes: Uint8Array): void {
    must("sendto", libc.sendto(this.#fd, bytes, bytes.length, 0, null, 0), { subject: "with a question" });
  }

  /** Calls back with every datagram that comes, and with the error where the network says that none will. Once only. */
  onAnswer(listener: (answer: Uint8Array | SystemError) => void): void {
    this.#readable = onReadable(this.#fd, () => {
      while (!this.#isClosed) {
        const answer = this.#receive();
        if (answer === undefined) return;
        listener(answer);
      }
    });
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#readable?.[Symbol.dispose]();
    libc.close(this.#fd);
  }

  #receive(): Uint8Array | SystemError | undefined {
    for (;;) {
      const length = libc.recvfrom(this.#fd, this.#buffer, largest, 0, null, null);
      if (length >= 0) return this.#buffer.slice(0, length);
      const failure = errno();
      if (failure === Errno.EAGAIN) return undefined;
      if (failure !== Errno.EINTR) return new SystemError("recvfrom", failure, { subject: "for an answer" });
    }
  }
}
