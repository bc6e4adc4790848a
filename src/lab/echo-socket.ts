/**
 * Linux's ping sockets (net/ipv4/ping.c), for programs that ping: a datagram is an ICMP message, the kernel fills in the
 * identifier and the checksum and hands back our own replies alone. To Node they look like UDP sockets.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { libc } from "../os/libc.ts";
import { AF_INET, AF_INET6 } from "../os/sockaddr.ts";
import { must } from "../os/system-error.ts";
import { Protocol } from "../packet/ip.ts";

/** Echo request and reply, RFC 792 and RFC 4443 §4. */
const Echo = { size: 8, type: 0, sequence: 6, request4: 8, reply4: 0, request6: 128, reply6: 129 } as const;
const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
const payloadLength = 56;

/** What to give `send` for a port: Node wants one, ICMP has none. */
export const anyPort = 1;

/** A socket with which this process can ping addresses of one family. */
export async function openEchoSocket(ipv6: boolean): Promise<Socket> {
  const fd = must(
    "socket",
    libc.socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM_CLOEXEC, ipv6 ? Protocol.icmpv6 : Protocol.icmp),
    { subject: "for ICMP echo", remedy: "widen net.ipv4.ping_group_range" },
  );
  const socket = createSocket(ipv6 ? "udp6" : "udp4");
  const listening = once(socket, "listening"); // which may come before `bind` returns
  socket.bind({ fd });
  await listening;
  return socket;
}

/** An echo request as the socket takes it: identifier and checksum are for the kernel. */
export function encodeRequest(ipv6: boolean, sequence: number, fill: Uint8Array): Buffer {
  const message = Buffer.alloc(Echo.size + payloadLength);
  message[Echo.type] = ipv6 ? Echo.request6 : Echo.request4;
  message.writeUInt16BE(sequence, Echo.sequence);
  message.fill(fill, Echo.size);
  return message;
}

/** The sequence number of a reply; `undefined` for another message. */
export function sequenceOfReply(ipv6: boolean, message: Buffer): number | undefined {
  const isReply = message.length >= Echo.size && message[Echo.type] === (ipv6 ? Echo.reply6 : Echo.reply4);
  return isReply ? message.readUInt16BE(Echo.sequence) : undefined;
}
