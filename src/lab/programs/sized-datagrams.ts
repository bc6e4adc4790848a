/**
 * Sends UDP datagrams that make IPv4 packets of given lengths, and says what becomes of each:
 * `sized-datagrams ADDRESS PORT whole|divisible LENGTH...`, against `udp-echo`. A `whole` packet must not be fragmented.
 * `{"event":"sized","outcomes":[{"length":1421,"outcome":"refused","mtu":1420}, ...]}`, the outcome being `answered`,
 * `lost`, or `refused` by this kernel because it is too long for the path; `mtu` is the path's, as the kernel knows it.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { libc } from "../../os/libc.ts";
import { AF_INET } from "../../os/sockaddr.ts";
import { must } from "../../os/system-error.ts";
import { Ipv4, Udp } from "../../packet/ip.ts";

const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
const IP_MTU_DISCOVER = 10;
const IP_MTU = 14;
const discovery = { whole: 2, divisible: 0 } as const; // IP_PMTUDISC_DO and IP_PMTUDISC_DONT
const patienceMs = 1500; // an answer takes a few milliseconds, and longer where the machine is busy

const [address, port, kind, ...lengths] = process.argv.slice(2);
const fd = must("socket", libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0), { subject: "for datagrams" });
const wanted = discovery[kind === "whole" ? "whole" : "divisible"];
must("setsockopt", libc.setsockopt(fd, 0, IP_MTU_DISCOVER, Uint8Array.of(wanted, 0, 0, 0), 4));
const socket = createSocket("udp4");
socket.on("error", () => {}); // the kernel tells of ICMP errors that way, too
const listening = once(socket, "listening"); // which comes at once
socket.bind({ fd });
await listening;
const connected = once(socket, "connect");
socket.connect(Number(port), address);
await connected;

const outcomes = [];
for (const length of lengths.map(Number)) outcomes.push({ length, outcome: await send(length), mtu: pathMtu() });
console.log(JSON.stringify({ event: "sized", outcomes }));
socket.close();

async function send(length: number): Promise<"answered" | "lost" | "refused"> {
  const { promise, resolve } = Promise.withResolvers<"answered" | "lost" | "refused">();
  const payload = Buffer.alloc(length - Ipv4.size - Udp.size);
  const hear = (message: Uint8Array) => message.length === payload.length && resolve("answered");
  socket.on("message", hear);
  const timer = setTimeout(resolve, patienceMs, "lost");
  socket.send(payload, (error) => error !== null && resolve("refused"));
  const outcome = await promise;
  clearTimeout(timer);
  socket.off("message", hear);
  return outcome;
}

function pathMtu(): number {
  const value = new Uint8Array(4);
  must("getsockopt", libc.getsockopt(fd, 0, IP_MTU, value, Uint8Array.of(4, 0, 0, 0)), { subject: "for IP_MTU" });
  return new DataView(value.buffer).getInt32(0, true);
}
