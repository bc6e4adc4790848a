/**
 * A ping for machines that have none: `ping ADDRESS COUNT INTERVAL_MS PATTERN`, the pattern in hexadecimal. It prints
 * what the other one prints and exits 1 unless every reply came within a second.
 *
 * It uses Linux's ping sockets (net/ipv4/ping.c): a datagram is an ICMP message, the kernel fills in the identifier and
 * the checksum and hands back our own replies alone. To Node they look like UDP sockets.
 */
import { createSocket } from "node:dgram";
import { libc } from "../../os/libc.ts";
import { AF_INET, AF_INET6 } from "../../os/sockaddr.ts";
import { must } from "../../os/system-error.ts";
import { Protocol } from "../../packet/ip.ts";

/** Echo request and reply, RFC 792 and RFC 4443 §4. */
const Echo = { size: 8, type: 0, sequence: 6, request4: 8, reply4: 0, request6: 128, reply6: 129 } as const;
const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
const payloadLength = 56;
const patienceMs = 1000;
const anyPort = 1; // Node wants one; ICMP has none

const [address, count, intervalMs, pattern] = process.argv.slice(2);
const ipv6 = address.includes(":");
const fill = Buffer.from(pattern, "hex");
const fd = must(
  "socket",
  libc.socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM_CLOEXEC, ipv6 ? Protocol.icmpv6 : Protocol.icmp),
  { subject: "for ICMP echo", remedy: "widen net.ipv4.ping_group_range" },
);
const socket = createSocket(ipv6 ? "udp6" : "udp4");
const sentAt = new Map<number, number>();
let missing = Number(count);

socket.on("message", (message) => {
  const sequence = message.readUInt16BE(Echo.sequence);
  const start = sentAt.get(sequence);
  if (message[Echo.type] !== (ipv6 ? Echo.reply6 : Echo.reply4) || start === undefined) return;
  sentAt.delete(sequence);
  const milliseconds = (performance.now() - start).toFixed(3);
  console.log(`${message.length} bytes from ${address}: icmp_seq=${sequence} time=${milliseconds} ms`);
  missing--;
  if (missing === 0) process.exit(0);
});
socket.on("error", () => {}); // an unreachable destination counts as a missing reply
socket.bind({ fd }, () => send(1));

function send(sequence: number): void {
  const message = Buffer.alloc(Echo.size + payloadLength);
  message[Echo.type] = ipv6 ? Echo.request6 : Echo.request4;
  message.writeUInt16BE(sequence, Echo.sequence);
  message.fill(fill, Echo.size);
  sentAt.set(sequence, performance.now());
  socket.send(message, anyPort, address);
  if (sequence < Number(count)) setTimeout(send, Number(intervalMs), sequence + 1);
  else setTimeout(() => process.exit(1), patienceMs);
}
