/** The WireGuard messages in a capture, with the endpoints they went between. */
import { Protocol, readUint16, Udp } from "../packet/ip.ts";
import type { Capture } from "./capture.ts";
import { summarisePacket } from "./packet-summary.ts";
import { tunnelPort } from "./topology.ts";

export interface WireMessage {
  /** Address and port. */
  readonly source: string;
  readonly destination: string;
  readonly message: Uint8Array;
}

/** What went from or to the server's tunnel port so far, over IPv4. */
export function seenMessages(wire: Capture): WireMessage[] {
  return wire.drain().flatMap(({ bytes }): WireMessage[] => {
    const summary = summarisePacket(bytes);
    if (summary === undefined || summary.protocol !== Protocol.udp) return [];
    const { source, destination, body } = summary;
    const ports = [readUint16(body, Udp.sourcePort), readUint16(body, Udp.destinationPort)];
    if (!ports.includes(tunnelPort)) return [];
    const message = body.subarray(Udp.size, readUint16(body, Udp.length));
    return [{ source: `${source}:${ports[0]}`, destination: `${destination}:${ports[1]}`, message }];
  });
}
