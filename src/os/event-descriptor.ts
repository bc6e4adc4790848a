/**
 * An eventfd: the one thing that wakes a thread blocked in `poll`, from any thread and from an exit hook. It stays
 * readable from `signal` until `drain`, however often it was signalled.
 */
import { readSync, writeSync } from "node:fs";
import { type Address, libc } from "./libc.ts";
import { must } from "./system-error.ts";

const EFD_NONBLOCK_CLOEXEC = 0x800 | 0x8_0000;
const one = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);

export class EventDescriptor implements Disposable {
  readonly fd: number;

  /** Wraps a descriptor, as a Worker does with the number it was given. One owner disposes of it. */
  constructor(fd: number) {
    this.fd = fd;
  }

  static create(): EventDescriptor {
    return new EventDescriptor(must("eventfd", libc.eventfd(0, EFD_NONBLOCK_CLOEXEC)));
  }

  /** Wakes whoever polls for it. Safe after the receiver has ended, and in `process.on("exit")`. */
  signal(): void {
    writeSync(this.fd, one);
  }

  /** Takes the signals back. Whether there were any. */
  drain(): boolean {
    try {
      return readSync(this.fd, new Uint8Array(8)) === 8;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EAGAIN") return false;
      throw error;
    }
  }

  /** `signal` for loops that may not allocate: `at` is the address of 8 bytes that hold the number 1. */
  signalFrom(at: Address): void {
    libc.write(this.fd, at, 8);
  }

  /** `drain` for loops that may not allocate: `at` is the address of 8 bytes to spare. */
  drainInto(at: Address): boolean {
    return libc.read(this.fd, at, 8) === 8;
  }

  [Symbol.dispose](): void {
    libc.close(this.fd);
  }
}
