/**
 * Sees every packet that passes an interface, in both directions: an AF_PACKET socket, which needs root in the network
 * namespace only, where tcpdump fails for want of a second user id. Packets wait in the kernel's buffer until they are
 * asked for, so a capture costs nothing while it runs; what did not fit is counted.
 */
import { errno, libc } from "./libc.ts";
import { viewOf } from "./netlink-message.ts";
import { attachFilter, type PacketFilter } from "./packet-filter.ts";
import { onReadable } from "./readable-signal.ts";
import { Errno, must, SystemError } from "./system-error.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK_CLOEXEC = 0x800 | 0x8_0000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const ETH_P_ALL = 3;
const PACKET_OUTGOING = 4;
const SIOCGSTAMPNS = 0x8907;

/** struct sockaddr_ll. */
const LinkName = { size: 20, family: 0, protocol: 2, index: 4, kind: 10 } as const;
/** The longest packet, which with offloads is far longer than the MTU, and its Ethernet header. */
const largest = 65_536 + 64;

export interface CapturedPacket {
  /** From the IP header on, or from the Ethernet header on where frames were asked for. */
  readonly bytes: Uint8Array;
  /** Whether this machine sent it; else it was received. */
  readonly outgoing: boolean;
  /** The EtherType: 0x0800 for IPv4, 0x86dd for IPv6. */
  readonly protocol: number;
  /** When the kernel saw it; absent unless asked for. */
  readonly time?: PacketTime;
}

/** Since 1970, UTC. */
export interface PacketTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Since the capture began. */
export interface CaptureStatistics {
  /** Packets that the filter took. */
  readonly taken: number;
  /** How many of them the buffer had no room for. */
  readonly dropped: number;
}

export interface PacketSocketOptions {
  /** The interface's index. */
  readonly device: number;
  /** Whether link-layer headers come along. */
  readonly frames?: boolean;
  /** For packets not yet drained. Without privilege over the machine the kernel grants less (net.core.rmem_max). */
  readonly bufferBytes?: number;
  /** Which packets to take, and how much of each; all of all where left out. */
  readonly filter?: PacketFilter;
  /** Whether each packet comes with its time. */
  readonly times?: boolean;
}

export class PacketSocket implements Disposable {
  readonly fd: number;
  readonly #buffer = new Uint8Array(largest);
  readonly #times: boolean;
  #taken = 0;
  #dropped = 0;

  private constructor(fd: number, times: boolean) {
    this.fd = fd;
    this.#times = times;
    if (times) this.#readTime(); // the kernel notes times from the first question on
  }

  /** Starts to capture on an interface of this thread's network namespace. */
  static open(options: PacketSocketOptions): PacketSocket {
    const kind = options.frames === true ? SOCK_RAW : SOCK_DGRAM;
    // Protocol 0 receives nothing yet: else packets of other interfaces would come in before `bind`.
    const fd = must("socket", libc.socket(AF_PACKET, kind | SOCK_NONBLOCK_CLOEXEC, 0), {
      subject: "to capture packets",
      remedy: "run as root or with CAP_NET_RAW",
    });
    try {
      const bytes = int32(options.bufferBytes ?? 32_000_000);
      if (libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes, 4) < 0) {
        libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, bytes, 4);
      }
      if (options.filter !== undefined) attachFilter(fd, options.filter);
      const name = new Uint8Array(LinkName.size);
      const view = viewOf(name);
      view.setUint16(LinkName.family, AF_PACKET, true);
      view.setUint16(LinkName.protocol, ETH_P_ALL);
      view.setInt32(LinkName.index, options.device, true);
      must("bind", libc.bind(fd, name, name.length), { subject: `to capture on interface ${options.device}` });
      return new PacketSocket(fd, options.times === true);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  /** Takes what was captured since the last call, oldest first; no more than `limit`, and the rest with later calls. */
  drainPackets(limit: number = Number.POSITIVE_INFINITY): CapturedPacket[] {
    const packets: CapturedPacket[] = [];
    const name = new Uint8Array(LinkName.size);
    const view = viewOf(name);
    while (packets.length < limit) {
      const length = libc.recvfrom(this.fd, this.#buffer, largest, 0, name, int32(name.length));
      if (length >= 0) {
        packets.push({
          bytes: this.#buffer.slice(0, length),
          outgoing: name[LinkName.kind] === PACKET_OUTGOING,
          protocol: view.getUint16(LinkName.protocol),
          ...(this.#times ? { time: this.#readTime() } : {}),
        });
        continue;
      }
      const failure = errno();
      if (failure === Errno.EAGAIN) return packets;
      // ENETDOWN is told once, when the interface is or goes down; the capture goes on.
      if (failure !== Errno.EINTR && failure !== Errno.ENETDOWN)
        throw new SystemError("recvfrom", failure, { subject: "on a packet socket" });
    }
    return packets;
  }

  /** Calls `listener` with packets as they come, instead of waiting for `drainPackets`. Main thread only. */
  onPackets(listener: (packets: CapturedPacket[]) => void): Disposable {
    const drain = () => {
      const packets = this.drainPackets();
      if (packets.length > 0) listener(packets);
    };
    const readable = onReadable(this.fd, drain);
    drain(); // what came before is not announced again
    return readable;
  }

  /** How many packets the buffer had no room for so far. */
  dropped(): number {
    return this.statistics().dropped;
  }

  statistics(): CaptureStatistics {
    const statistics = new Uint8Array(8); // struct tpacket_stats: taken and dropped, both since it was last asked
    const result = libc.getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, statistics, int32(statistics.length));
    must("getsockopt", result, { subject: "for PACKET_STATISTICS" });
    this.#taken += viewOf(statistics).getUint32(0, true);
    this.#dropped += viewOf(statistics).getUint32(4, true);
    return { taken: this.#taken, dropped: this.#dropped };
  }

  /** Of the packet that was read last. */
  #readTime(): PacketTime {
    const time = new Uint8Array(16); // struct timespec
    const isThere = libc.ioctl(this.fd, SIOCGSTAMPNS, time) >= 0; // not before the first packet
    const view = viewOf(time);
    return isThere
      ? { seconds: Number(view.getBigInt64(0, true)), nanoseconds: Number(view.getBigInt64(8, true)) }
      : { seconds: 0, nanoseconds: 0 };
  }

  [Symbol.dispose](): void {
    libc.close(this.fd);
  }
}

function int32(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}
