/**
 * Memory that JavaScript, WebAssembly, the kernel and OpenSSL all reach at once, without a copy.
 *
 * An arena is a WebAssembly memory that never grows, so its address is stable. Its pages come from a memfd that is
 * mapped twice: over the memory V8 reserved, and once more below 2 GiB. The second mapping is what foreign calls are
 * given: an address below 2^31 is a small integer to V8, where one of 47 bits would be boxed, 16 bytes of garbage for
 * every argument of every call (measured with Node 26 on an AMD EPYC, 2026-11-23: 31 ns and 0 bytes a call against
 * 40 ns and 16 bytes). Where no low address is free the arena uses V8's own, and only that cost differs.
 *
 * Pages are taken from the system when they are first touched, so a large arena costs what is used of it. An arena is
 * left out of core dumps, since it may hold keys.
 */
import { VpnError } from "../base/errors.ts";
import { type Address, addressOf, libc } from "./libc.ts";
import { must } from "./system-error.ts";

const pageSize = 65_536; // of WebAssembly
const lowest = 0x1000_0000;
const highest = 0x7000_0000;
const step = 0x0100_0000;

const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_FIXED = 0x10;
const MAP_FIXED_NOREPLACE = 0x10_0000;
const MFD_CLOEXEC = 1;
const MADV_REMOVE = 9;
const MADV_DONTDUMP = 16;

export interface ArenaOptions {
  /** Size in bytes, a multiple of 65,536. */
  readonly size: number;
  /** Whether other threads see it too: `buffer` is then a SharedArrayBuffer to pass them along with `base`. */
  readonly shared?: boolean;
}

export class Arena implements Disposable {
  readonly memory: WebAssembly.Memory;
  readonly size: number;
  /** The address of offset 0, to be added to an offset for a foreign call. */
  readonly base: Address;
  readonly #alias: boolean;

  constructor(options: ArenaOptions) {
    if (options.size <= 0 || options.size % pageSize !== 0) {
      throw new VpnError("invalid-argument", `an arena is a multiple of ${pageSize} bytes, not ${options.size}`);
    }
    const pages = options.size / pageSize;
    this.size = options.size;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: options.shared ?? false });
    const own = addressOf(this.memory.buffer);
    const fd = must("memfd_create", libc.memfd_create("warren", MFD_CLOEXEC));
    try {
      must("ftruncate", libc.ftruncate(fd, this.size), { subject: `to ${this.size} bytes` });
      if (libc.mmap(own, this.size, PROT_READ_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !== own) must("mmap", -1);
      const low = mapLow(fd, this.size);
      this.#alias = low !== undefined;
      this.base = low ?? own;
      libc.madvise(own, this.size, MADV_DONTDUMP);
      if (low !== undefined) libc.madvise(low, this.size, MADV_DONTDUMP);
    } finally {
      libc.close(fd);
    }
  }

  get buffer(): ArrayBuffer | SharedArrayBuffer {
    return this.memory.buffer;
  }

  /**
   * Erases the contents and gives the low mapping back. No foreign call may be under way or follow. V8 unmaps its own
   * once nobody refers to it; until then it reads zeros.
   */
  [Symbol.dispose](): void {
    libc.madvise(this.base, this.size, MADV_REMOVE); // frees the pages under both mappings at once
    if (this.#alias) libc.munmap(this.base, this.size);
  }
}

function mapLow(fd: number, size: number): Address | undefined {
  for (let at = lowest; at + size <= highest; at += step) {
    if (libc.mmap(at, size, PROT_READ_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) === at) return at;
  }
  return undefined;
}
