/** An offload that the kernel or a device does not have, or gets wrong, so that a tunnel does without it. */
import { errnoName } from "./system-error.ts";

/** In the words of `warren show`. Those over TCP and UDP are of the TUN device, the others of the UDP sockets. */
export type Offload = "TSO over IPv4" | "TSO over IPv6" | "USO" | "UDP_SEGMENT" | "UDP_GRO";

export interface OffloadFault {
  readonly offload: Offload;
  /** What went wrong, or that it is not there, in a few words. */
  readonly why: string;
}

/** The fault that shows in a call's refusal. */
export function refusal(offload: Offload, syscall: string, errno: number): OffloadFault {
  return { offload, why: `${syscall} failed with ${errnoName(errno)}` };
}
