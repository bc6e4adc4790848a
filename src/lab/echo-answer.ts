/** The answer to a ping, made by hand out of the question, as the kernel of the host that is asked would. Pure. */
import { checksum, pseudoHeaderSum } from "../packet/checksum.ts";
import { Ipv4, Ipv6, Protocol } from "../packet/ip.ts";
import { echoKind, summarisePacket } from "./packet-summary.ts";

const Icmp = { type: 0, checksum: 2, reply4: 0, reply6: 129 } as const;

/** The echo reply to an echo request without IP options; `undefined` for any other packet. */
export function answerEcho(request: Uint8Array): Uint8Array | undefined {
  const summary = summarisePacket(request);
  if (summary === undefined || echoKind(summary) !== "request") return undefined;
  const reply = request.slice();
  const ipv6 = summary.protocol === Protocol.icmpv6;
  const { source, destination, size } = ipv6 ? Ipv6 : Ipv4;
  reply.set(request.subarray(destination, size), source);
  reply.set(request.subarray(source, destination), destination);
  // Two addresses that change places leave the header's own sum as it was, and so the pseudo-header's.
  const message = reply.subarray(size);
  message[Icmp.type] = ipv6 ? Icmp.reply6 : Icmp.reply4;
  message.set([0, 0], Icmp.checksum);
  const sum = checksum(message, ipv6 ? pseudoHeaderSum(reply, Protocol.icmpv6, message.length) : 0);
  message.set([sum >> 8, sum & 0xff], Icmp.checksum);
  return reply;
}
