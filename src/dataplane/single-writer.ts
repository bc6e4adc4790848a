/**
 * What becomes of a super-packet that the TUN device refuses, as kernels 6.6.44 and 6.10.3 did with some of those whose
 * last segment is shorter (include/linux/virtio_net.h): it is cut again and its packets are written one by one. Where the
 * device takes them, the super-packet was the fault: no further one of its kind is made.
 *
 * Runs once for each kind in a tunnel's life.
 */
import type { Arena } from "../os/arena.ts";
import { libc } from "../os/libc.ts";
import { type Offload, type OffloadFault, refusal } from "../os/offload-fault.ts";
import { Errno } from "../os/system-error.ts";
import type { Coalescer } from "../packet/coalescing.ts";
import type { Kernels } from "../packet/kernels.ts";
import { Segmenter } from "../packet/segmentation.ts";
import { GsoType, VirtioHeader } from "../packet/virtio-header.ts";

/** Bytes of arena that the writer needs: a virtio header behind what aligns its packet, and the largest packet. */
export const singleWriterRoom: number = 16 + 65_575;

export interface SingleWriterOptions {
  readonly arena: Arena;
  readonly kernels: Kernels;
  readonly coalescer: Coalescer;
  readonly tun: number;
  /** Offset of `singleWriterRoom` bytes. */
  readonly room: number;
  /** Told of a kind of super-packet that will not be made any more. */
  readonly withdraw: (fault: OffloadFault) => void;
}

export class SingleWriter {
  readonly #options: SingleWriterOptions;
  readonly #segmenter: Segmenter;
  readonly #bytes: Uint8Array;

  constructor(options: SingleWriterOptions) {
    const kinds = { tcp4: true, tcp6: true, udp: true };
    this.#options = options;
    this.#segmenter = new Segmenter(options.kernels, { ...kinds, largest: 65_575 });
    this.#bytes = new Uint8Array(options.arena.buffer);
  }

  /**
   * Writes what the device has refused with `errno`: `length` bytes at `header`, where the virtio header begins. Returns
   * how many packets were lost.
   */
  write(header: number, length: number, errno: number): number {
    const { arena, coalescer, room, tun, withdraw } = this.#options;
    const segmenter = this.#segmenter;
    const type = this.#bytes[header + VirtioHeader.gsoType];
    if (errno !== Errno.EINVAL || type === GsoType.none) return 1;
    if (segmenter.begin(header, length) !== undefined) return 1;
    const packet = room + 16;
    const stride = (segmenter.packetLength + 15) & ~15;
    let lost = 0;
    while (segmenter.remaining > 0) {
      segmenter.next(packet, stride, 1);
      const size = segmenter.remaining === 0 ? segmenter.lastLength : segmenter.packetLength;
      this.#bytes.fill(0, packet - VirtioHeader.size, packet);
      const written = libc.write(tun, arena.base + packet - VirtioHeader.size, VirtioHeader.size + size);
      if (written < 0) lost++;
    }
    if (lost === 0 && coalescer.withdraw(type)) withdraw(refusal(offloads[type], "write", errno));
    return lost;
  }
}

const offloads: Readonly<Record<number, Offload>> = {
  [GsoType.tcp4]: "TSO over IPv4",
  [GsoType.tcp6]: "TSO over IPv6",
  [GsoType.udp]: "USO",
};
