/** One super-packet of 64 KiB, as the kernel hands it over, cut into packets of an MTU of 1,420. */
import { bench, do_not_optimize, group } from "mitata";
import { Segmenter } from "../../src/packet/segmentation.ts";
import { GsoType, VirtioFlags, VirtioHeader } from "../../src/packet/virtio-header.ts";
import { makePacket } from "../../test/reference/packets.ts";
import { makeArena } from "./arena.ts";

const mtu = 1420;
const stride = 1536;
const header = 64 - VirtioHeader.size;
const slots = 131_072;

export function measureSegmentation(): void {
  group("segmentation, a super-packet of 45 packets", () => {
    for (const family of [4, 6] as const) {
      for (const protocol of ["tcp", "udp"] as const) {
        const { arena, kernels } = makeArena(4 * 65_536);
        const view = new DataView(arena.buffer);
        const segmenter = new Segmenter(kernels, { tcp4: true, tcp6: true, udp: true, largest: 65_535 });
        const network = family === 4 ? 20 : 40;
        const transport = protocol === "tcp" ? 20 : 8;
        const size = mtu - network - transport;
        const packet = makePacket({ family, protocol, payload: new Uint8Array(45 * size), isPartial: true });
        const tcp = family === 4 ? GsoType.tcp4 : GsoType.tcp6;
        kernels.bytes.set(packet, header + VirtioHeader.size);
        view.setUint8(header + VirtioHeader.flags, VirtioFlags.needsChecksum);
        view.setUint8(header + VirtioHeader.gsoType, protocol === "tcp" ? tcp : GsoType.udp);
        view.setUint16(header + VirtioHeader.headerLength, network + transport, true);
        view.setUint16(header + VirtioHeader.gsoSize, size, true);
        view.setUint16(header + VirtioHeader.checksumStart, network, true);
        view.setUint16(header + VirtioHeader.checksumOffset, protocol === "tcp" ? 16 : 6, true);
        bench(`${protocol} over IPv${family}`, () => {
          if (segmenter.begin(header, VirtioHeader.size + packet.length) !== undefined) throw new Error("refused");
          do_not_optimize(segmenter.next(slots, stride, 64));
        });
      }
    }
  });
}
