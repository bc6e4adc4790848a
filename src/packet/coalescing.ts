/**
 * Hot path: puts packets that came through the tunnel one by one back together, so that the kernel takes one write and
 * one walk through its stack for up to 64 KiB of TCP or UDP.
 *
 * Only what follows directly upon what is held joins it: the next bytes of the same TCP connection, or a datagram of
 * the same UDP flow, with equal headers and a right checksum. Only the last may be shorter, or carry PSH or FIN. All
 * else passes through, alone and untouched. The kernel can cut the result into exactly the packets that went in.
 */
import { VpnError } from "../base/errors.ts";
import type { Kernels } from "./kernels.ts";
import { GsoType, type SuperPacketKinds } from "./virtio-header.ts";

/** The longest an IPv6 packet gets without a jumbo payload (RFC 8200 §3). */
const largestPacket = 40 + 65_535;
/** The kernel's bits for what may be joined (kernels/coalescing.ts). */
const allowed: Readonly<Record<number, number>> = { [GsoType.tcp4]: 1, [GsoType.tcp6]: 2, [GsoType.udp]: 4 };

export class Coalescer {
  /** Bytes that a coalescer uses before its packet: some state, and the virtio header in the last ten of them. */
  static readonly headroom = 64;
  /** Bytes that a coalescer uses from its packet's first on. */
  static readonly room: number = largestPacket;

  readonly #kernels: Kernels;
  readonly #at: number;
  #allowed: number;

  /**
   * Builds in the arena, the packet at `at`; `headroom` before that and `room` after it are the coalescer's own. The
   * options say which super-packets the TUN device takes. Throws `invalid-argument` where there is not room enough.
   */
  constructor(kernels: Kernels, at: number, options: SuperPacketKinds) {
    if (at < Coalescer.headroom || at + Coalescer.room > kernels.bytes.length) {
      throw new VpnError("invalid-argument", `a coalescer has no room at ${at} of ${kernels.bytes.length} bytes`);
    }
    this.#kernels = kernels;
    this.#at = at;
    this.#allowed =
      (options.tcp4 ? allowed[GsoType.tcp4] : 0) |
      (options.tcp6 ? allowed[GsoType.tcp6] : 0) |
      (options.udp ? allowed[GsoType.udp] : 0);
    kernels.zero(at - Coalescer.headroom, Coalescer.headroom);
  }

  /**
   * Takes a copy of an IP packet of `length` bytes. False where it does not belong to what is held: `finish`, write, and
   * add it again, which then succeeds. Throws `invalid-argument` where the length is none an IP packet can have.
   */
  add(packet: number, length: number): boolean {
    if (length <= 0 || length > largestPacket) throw new VpnError("invalid-argument", `no packet has ${length} bytes`);
    return this.#kernels.coalesce(this.#at, packet, length, this.#allowed) !== 0;
  }

  /** Makes no more super-packets of a type of the virtio header (`GsoType`). Whether it did so far. */
  withdraw(type: number): boolean {
    const bit = allowed[type] ?? 0;
    const was = (this.#allowed & bit) !== 0;
    this.#allowed &= ~bit;
    return was;
  }

  /** Completes what is held and lets go of it. Returns how many bytes to write from `at - 10` on; 0 for nothing. */
  finish(): number {
    return this.#kernels.finish(this.#at);
  }
}
