/**
 * A TUN device made call by call, as the seed makes it: no virtio header, no queues, nothing hidden. What each call was
 * given and gave back is kept to be shown. `os/tun-device.ts` is how warren does it.
 */
import { closeSync, readSync, writeSync } from "node:fs";
import { errno, libc } from "../os/libc.ts";
import { onReadable } from "../os/readable-signal.ts";
import { must } from "../os/system-error.ts";
import { tunOpenError } from "../os/tun-device.ts";

const path = "/dev/net/tun";
const O_RDWR = 2;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x8_0000;
export const TUNSETIFF = 0x4004_54ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
/** struct ifreq on 64-bit Linux: a name, and a union whose first two bytes are the flags here. */
const InterfaceRequest = { size: 40, name: 0, nameSize: 16, flags: 16 } as const;
const largestPacket = 65_536;

export interface AttachCall {
  readonly flags: number;
  /** struct ifreq before and after the call. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  /** The name that the kernel gave. */
  readonly name: string;
}

export class BareDevice implements Disposable {
  readonly #buffer = new Uint8Array(largestPacket);
  #fd = -1;

  /** `open("/dev/net/tun")` in the network namespace of this thread, to which the device will belong. */
  open(): { readonly path: string; readonly flags: string; readonly fd: number } {
    this.#fd = libc.open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
    if (this.#fd < 0) throw tunOpenError(errno());
    return { path, flags: "O_RDWR | O_NONBLOCK | O_CLOEXEC", fd: this.#fd };
  }

  /** `ioctl(fd, TUNSETIFF, &ifr)`: from here on there is an interface. */
  attach(template: string): AttachCall {
    const flags = IFF_TUN | IFF_NO_PI;
    const request = new Uint8Array(InterfaceRequest.size);
    request.set(new TextEncoder().encode(template), InterfaceRequest.name);
    new DataView(request.buffer).setUint16(InterfaceRequest.flags, flags, true);
    const before = request.slice();
    must("TUNSETIFF", libc.ioctl(this.#fd, TUNSETIFF, request), { subject: `for ${template}` });
    const name = new TextDecoder().decode(request.subarray(0, request.indexOf(0)));
    return { flags, before, after: request, name };
  }

  /** The next packet that `select` takes, with those it passed over; `undefined` after `timeoutMs`. */
  async read(
    select: (packet: Uint8Array) => boolean,
    timeoutMs: number,
  ): Promise<{ readonly packet: Uint8Array; readonly others: readonly Uint8Array[] } | undefined> {
    const others: Uint8Array[] = [];
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
    const look = () => {
      for (let packet = this.#readOne(); packet !== undefined; packet = this.#readOne()) {
        if (select(packet)) return resolve(packet);
        others.push(packet);
      }
    };
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    using _readable = onReadable(this.#fd, look);
    look();
    const packet = await promise;
    clearTimeout(timer);
    return packet && { packet, others };
  }

  /** `write(fd, packet)`: the kernel takes it for one that has come in by the interface. Returns what `write` did. */
  write(packet: Uint8Array): number {
    return writeSync(this.#fd, packet);
  }

  /** The interface goes with the last descriptor. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #readOne(): Uint8Array | undefined {
    try {
      return this.#buffer.slice(0, readSync(this.#fd, this.#buffer));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EAGAIN") return undefined;
      throw error;
    }
  }
}
