/**
 * Which offloads a tunnel runs with, and why it does without the others: the kernel has none, a check at the start found
 * them broken, or they failed under way. What is broken is said once.
 */
import type { OffloadFault } from "../os/offload-fault.ts";
import type { TunDevice } from "../os/tun-device.ts";
import type { UdpOffloads } from "../os/udp-socket.ts";
import type { SuperPacketKinds } from "../packet/virtio-header.ts";
import type { UdpTransport } from "../transport/udp.ts";

export interface Offloads {
  readonly tun: SuperPacketKinds;
  readonly udp: UdpOffloads;
  /** What is off, and why. */
  readonly off: readonly OffloadFault[];
}

export class OffloadStatus {
  readonly #off = new Map<OffloadFault["offload"], string>();
  readonly #say: (line: string) => void;

  /** `say` is told in a line of each offload that is broken, `note` of each that is not there. */
  constructor(
    tun: TunDevice,
    udp: Pick<UdpTransport, "offloads" | "faults" | "unchecked">,
    { say, note }: { readonly say: (line: string) => void; readonly note: (line: string) => void },
  ) {
    this.#say = say;
    for (const fault of udp.faults) this.withdraw(fault);
    if (udp.unchecked !== undefined)
      note(`UDP offloads are taken to work, since they cannot be tried: ${udp.unchecked}`);
    const refused = tun.virtioHeader ? "TUNSETOFFLOAD refused it" : "the device has no virtio headers";
    const kinds = superPackets(tun);
    const found: [OffloadFault["offload"], boolean, string][] = [
      ["TSO over IPv4", kinds.tcp4, refused],
      ["TSO over IPv6", kinds.tcp6, refused],
      ["USO", kinds.udp, refused],
      ["UDP_SEGMENT", udp.offloads.segmentation, "the kernel does not know it"],
      ["UDP_GRO", udp.offloads.receiveOffload, "the kernel does not know it"],
    ];
    for (const [offload, isOn, why] of found) {
      if (isOn || this.#off.has(offload)) continue;
      this.#off.set(offload, why);
      note(`without ${offload}: ${why}`);
    }
  }

  /** One that does not work. It may be told of several times. */
  withdraw({ offload, why }: OffloadFault): void {
    if (this.#off.has(offload)) return;
    this.#off.set(offload, why);
    this.#say(`${offload} is switched off, and traffic goes on without it: ${why}`);
  }

  get current(): Offloads {
    const isOn = (offload: OffloadFault["offload"]) => !this.#off.has(offload);
    return {
      tun: { tcp4: isOn("TSO over IPv4"), tcp6: isOn("TSO over IPv6"), udp: isOn("USO") },
      udp: { segmentation: isOn("UDP_SEGMENT"), receiveOffload: isOn("UDP_GRO") },
      off: Array.from(this.#off, ([offload, why]) => ({ offload, why })),
    };
  }
}

/** What the device gives and takes, in terms of super-packets. */
export function superPackets({ offloads }: TunDevice): SuperPacketKinds {
  return { tcp4: offloads.tso4, tcp6: offloads.tso6, udp: offloads.uso };
}
