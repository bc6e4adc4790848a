/** Packets of one flow, each of an MTU of 1,420, joined to one super-packet. */
import { bench, do_not_optimize, group } from "mitata";
import { Coalescer } from "../../src/packet/coalescing.ts";
import { makePacket } from "../../test/reference/packets.ts";
import { makeArena } from "./arena.ts";

const mtu = 1420;
const stride = 1536;
const count = 40;

export function measureCoalescing(): void {
  group(`coalescing, ${count} packets`, () => {
    for (const family of [4, 6] as const) {
      for (const protocol of ["tcp", "udp"] as const) {
        const { kernels } = makeArena(4 * 65_536);
        const room = Coalescer.headroom;
        const packets = 131_072;
        const size = mtu - (family === 4 ? 20 : 40) - (protocol === "tcp" ? 20 : 8);
        for (let i = 0; i < count; i++) {
          const fields = { identification: i, sequence: 1 + i * size, payload: new Uint8Array(size) };
          kernels.bytes.set(makePacket({ family, protocol, ...fields }), packets + i * stride);
        }
        const coalescer = new Coalescer(kernels, room, { tcp4: true, tcp6: true, udp: true });
        bench(`${protocol} over IPv${family}`, () => {
          for (let i = 0; i < count; i++) {
            if (!coalescer.add(packets + i * stride, mtu)) throw new Error("not joined");
          }
          do_not_optimize(coalescer.finish());
        });
      }
    }
  });
}
