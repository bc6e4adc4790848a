/**
 * A TUN device: a network interface whose other end is this process. Every read returns one packet and every write
 * takes one, each behind a virtio header of 10 bytes that says how far the kernel left checksum and segmentation to us,
 * and how far we leave them to it (linux/virtio_net.h). With offloads one "packet" is up to 64 KiB. A device opened
 * without the header gives and takes bare, finished packets.
 *
 * The interface vanishes when its descriptors are closed, unless somebody made it persistent beforehand.
 */
import { VpnError } from "../base/errors.ts";
import { Arena } from "./arena.ts";
import { InterfaceConfig } from "./interface-config.ts";
import { errno, libc } from "./libc.ts";
import type { Link } from "./links.ts";
import { NetworkNamespace } from "./namespace.ts";
import { POLLOUT, Poller } from "./poller.ts";
import { Errno, must, SystemError } from "./system-error.ts";

const path = "/dev/net/tun";
const O_NONBLOCK = 0x800;
const O_RDWR_NONBLOCK_CLOEXEC = 2 | O_NONBLOCK | 0x8_0000;
const F_SETFD = 2;
const F_SETFL = 4;
const FD_CLOEXEC = 1;

const TUNSETIFF = 0x4004_54ca;
const TUNGETIFF = 0x8004_54d2;
const TUNGETDEVNETNS = 0x54e3;
const TUNSETOFFLOAD = 0x4004_54d0;
const TUNSETVNETHDRSZ = 0x4004_54d8;

const IFF_TUN = 0x0001;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

/** struct ifreq, as far as it is used here. */
const InterfaceRequest = { size: 40, name: 0, nameSize: 16, flags: 16 } as const;

/** For asking a device whether it is up. */
let scratch: Arena | undefined;

/** Bytes of the virtio header before each packet. */
export const virtioHeaderSize = 10;

/** What the kernel may hand over, and take, unfinished. */
export interface TunOffloads {
  /** Packets with the checksum still to be made. */
  readonly checksum: boolean;
  /** TCP over IPv4 and over IPv6 as super-packets. */
  readonly tso4: boolean;
  readonly tso6: boolean;
  /** UDP super-packets, over both; from Linux 6.2. */
  readonly uso: boolean;
}

export interface TunDeviceOptions {
  /** An interface name of at most 15 bytes; `%d` in it becomes the first free number. */
  readonly name: string;
  /** Whether `openQueue` may add descriptors, over which the kernel spreads the flows. */
  readonly multiQueue?: boolean;
  /** "none" asks for whole, finished packets, for kernels that break offloads. */
  readonly offloads?: "probe" | "none";
  /** Whether a virtio header stands before each packet; yes unless said otherwise. Without it there are no offloads. */
  readonly virtioHeader?: boolean;
}

export class TunDevice implements Disposable {
  /** The first queue; non-blocking. */
  readonly fd: number;
  /** The name that the kernel gave. */
  readonly name: string;
  /** The interface index. */
  readonly index: number;
  readonly offloads: TunOffloads;
  /** Whether a virtio header stands before each packet. */
  readonly virtioHeader: boolean;
  readonly #flags: number;
  readonly #queues: number[] = [];

  private constructor(fd: number, name: string, index: number, offloads: TunOffloads, flags: number) {
    this.fd = fd;
    this.name = name;
    this.index = index;
    this.offloads = offloads;
    this.virtioHeader = (flags & IFF_VNET_HDR) !== 0;
    this.#flags = flags;
  }

  /** Makes the device in the network namespace of this thread. Throws `name-taken`, `not-permitted`, `not-available`. */
  static open(options: TunDeviceOptions): TunDevice {
    checkName(options.name);
    const plain = options.virtioHeader === false;
    const flags =
      IFF_TUN | IFF_NO_PI | (plain ? 0 : IFF_VNET_HDR) | (options.multiQueue === true ? IFF_MULTI_QUEUE : 0);
    const { fd, name } = openQueue(options.name, flags);
    try {
      const offloads = setOffloads(fd, plain || options.offloads === "none" ? [0] : offloadChoices);
      return new TunDevice(fd, name, indexOf(name), offloads, flags);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  /**
   * Takes over a descriptor that somebody else attached to a TUN device in this thread's network namespace, and closes it
   * in the end. It must have been opened with IFF_NO_PI, which cannot be asked afterwards: the kernel answers with that
   * bit where it means IFF_NOFILTER. Throws `invalid-argument` where the descriptor is of another kind.
   */
  static adopt(fd: number): TunDevice {
    const { name, flags } = attachedTo(fd);
    if ((flags & IFF_TUN) === 0) {
      throw new VpnError("invalid-argument", `descriptor ${fd} is an Ethernet device and not a TUN device`, {
        remedy: "open it with IFF_TUN | IFF_NO_PI, and IFF_VNET_HDR for offloads",
      });
    }
    must("fcntl", libc.fcntl(fd, F_SETFD, FD_CLOEXEC), { subject: `of descriptor ${fd}` });
    must("fcntl", libc.fcntl(fd, F_SETFL, O_NONBLOCK), { subject: `of descriptor ${fd}` });
    if ((flags & IFF_VNET_HDR) !== 0) setHeaderSize(fd);
    const offloads = setOffloads(fd, (flags & IFF_VNET_HDR) === 0 ? [0] : offloadChoices);
    return new TunDevice(fd, name, indexOf(name), offloads, flags);
  }

  /** What the interface is called now, wherever it is; `undefined` once it is deleted. */
  get currentName(): string | undefined {
    const request = new Uint8Array(InterfaceRequest.size);
    return libc.ioctl(this.fd, TUNGETIFF, request) < 0 ? undefined : nameIn(request);
  }

  /** Whether the interface is up, wherever it is: a device takes packets only then (drivers/net/tun.c). */
  get isUp(): boolean {
    scratch ??= new Arena({ size: 65_536 });
    const poller = new Poller(scratch, 0, [this.fd]);
    poller.watch(0, POLLOUT);
    return poller.wait(0) > 0 && (poller.ready(0) & POLLOUT) !== 0;
  }

  /** The network namespace that the interface is in now, which may be another than at first; `undefined` once it is deleted. */
  namespace(): NetworkNamespace | undefined {
    const fd = libc.ioctlNumber(this.fd, TUNGETDEVNETNS, 0);
    if (fd >= 0) return new NetworkNamespace(fd);
    const failure = errno();
    if (failure === Errno.EBADFD) return undefined;
    throw new SystemError("TUNGETDEVNETNS", failure, { subject: `for ${this.name}` });
  }

  /** A further descriptor of a multi-queue device, closed with it. Only in the namespace in which it was opened. */
  openQueue(): number {
    const { fd } = openQueue(this.name, this.#flags);
    this.#queues.push(fd);
    return fd;
  }

  /** Changes what the kernel hands over from now on, for when an offload turns out to be broken. */
  disableOffloads(): void {
    setOffloads(this.fd, [0]);
  }

  [Symbol.dispose](): void {
    for (const queue of this.#queues) libc.close(queue);
    libc.close(this.fd);
  }
}

/** Sets of TUN_F flags from the best down; a kernel answers EINVAL to one that it does not know. */
const offloadChoices: readonly number[] = [
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6,
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
  TUN_F_CSUM,
  0,
];

function openQueue(wanted: string, flags: number): { fd: number; name: string } {
  const fd = libc.open(path, O_RDWR_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw tunOpenError(errno());
  try {
    const request = new Uint8Array(InterfaceRequest.size);
    request.set(new TextEncoder().encode(wanted), InterfaceRequest.name);
    new DataView(request.buffer).setUint16(InterfaceRequest.flags, flags, true);
    if (libc.ioctl(fd, TUNSETIFF, request) < 0) throw attachError(errno(), wanted);
    if ((flags & IFF_VNET_HDR) !== 0) setHeaderSize(fd);
    return { fd, name: nameIn(request) };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Which device a descriptor stands for, and the IFF flags it was attached with. */
function attachedTo(fd: number): { name: string; flags: number } {
  const request = new Uint8Array(InterfaceRequest.size);
  if (libc.ioctl(fd, TUNGETIFF, request) < 0) {
    const remedy = "give the number of an open descriptor of /dev/net/tun that is attached to a device";
    throw new SystemError("TUNGETIFF", errno(), { subject: `of descriptor ${fd}`, code: "invalid-argument", remedy });
  }
  return { name: nameIn(request), flags: new DataView(request.buffer).getUint16(InterfaceRequest.flags, true) };
}

function indexOf(name: string): number {
  const link = linkOf(name);
  if (link === undefined) throw new SystemError("RTM_GETLINK", Errno.ENODEV, { subject: `for ${name}` });
  return link.index;
}

function setHeaderSize(fd: number): void {
  must("TUNSETVNETHDRSZ", libc.ioctl(fd, TUNSETVNETHDRSZ, Uint8Array.of(virtioHeaderSize, 0, 0, 0)));
}

function setOffloads(fd: number, choices: readonly number[]): TunOffloads {
  const chosen = choices.find((flags) => libc.ioctlNumber(fd, TUNSETOFFLOAD, flags) >= 0);
  if (chosen === undefined) throw new SystemError("TUNSETOFFLOAD", errno());
  return {
    checksum: (chosen & TUN_F_CSUM) !== 0,
    tso4: (chosen & TUN_F_TSO4) !== 0,
    tso6: (chosen & TUN_F_TSO6) !== 0,
    uso: (chosen & TUN_F_USO4) !== 0,
  };
}

/** The rules of the kernel's dev_valid_name (net/core/dev.c), and `%d` as the one template of dev_alloc_name. */
function checkName(name: string): void {
  const bytes = new TextEncoder().encode(name).length;
  const template = name.replace("%d", "");
  const reserved = [".", "..", "all", "default"]; // the last two are names in /proc/sys/net
  const valid = bytes > 0 && bytes < InterfaceRequest.nameSize && !reserved.includes(name);
  if (valid && !/[\s/:%\0]/.test(template)) return;
  throw new VpnError("invalid-argument", `${JSON.stringify(name)} is not an interface name`, {
    remedy: "use 1 to 15 bytes without spaces, slashes or colons, such as wg0",
  });
}

/** Why /dev/net/tun cannot be opened, and what to do about it. */
export function tunOpenError(errno: number): SystemError {
  const remedies: Readonly<Record<number, string>> = {
    [Errno.ENOENT]:
      "load the module with `modprobe tun`, or give the container the device with `--device /dev/net/tun`",
    [Errno.ENODEV]: "load the module with `modprobe tun`: this kernel has the device's file but not its driver",
    [Errno.EACCES]: "run as root, or `chmod 0666 /dev/net/tun` as most distributions have it",
    [Errno.EPERM]: "give the container the device with `--device /dev/net/tun`",
  };
  return new SystemError("open", errno, { subject: `of ${path}`, remedy: remedies[errno] });
}

function attachError(errno: number, name: string): SystemError {
  const call = "TUNSETIFF";
  switch (errno) {
    case Errno.EBUSY:
      return new SystemError(call, errno, { what: `another process has the interface ${name}`, ...taken(name, true) });
    case Errno.EINVAL: {
      // The answer for a name that an interface of another kind has, or a TUN device of another make.
      const found = linkOf(name);
      if (found !== undefined) {
        const what = `there is a network interface ${name} already`;
        return new SystemError(call, errno, { what, ...taken(name, found.kind === "tun") });
      }
      const remedy = "this kernel lacks virtio headers on TUN devices";
      return new SystemError(call, errno, { what: "cannot make a network interface", remedy });
    }
    case Errno.EPERM:
      return new SystemError(call, errno, {
        what: "cannot make a network interface",
        remedy: "run as root or with CAP_NET_ADMIN, or in a namespace of your own with `unshare -Urn`",
      });
    default:
      return new SystemError(call, errno, { what: "cannot make a network interface" });
  }
}

/** Whose kind is another was made by others for others, such as the way to the network itself. */
function taken(name: string, isTun: boolean): { code: "name-taken"; remedy: string } {
  const remedy = `choose another name${isTun ? `, or delete it with \`ip link delete ${name}\`` : ""}`;
  return { code: "name-taken", remedy };
}

function linkOf(name: string): Link | undefined {
  using config = InterfaceConfig.open();
  return config.links.find(name);
}

function nameIn(request: Uint8Array): string {
  const end = request.indexOf(0);
  return new TextDecoder().decode(request.subarray(0, Math.min(end, InterfaceRequest.nameSize)));
}
