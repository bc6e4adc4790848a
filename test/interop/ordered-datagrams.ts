/**
 * A program for a host: numbered UDP datagrams of many lengths, as fast as they go. Some may be lost on the way, none may
 * overtake another.
 *
 *     node ordered-datagrams.ts receive PORT            prints "listening", then a report once all is silent
 *     node ordered-datagrams.ts send ADDRESS PORT COUNT
 */
import { Endpoint, IpAddress } from "../../src/base/address.ts";
import { libc } from "../../src/os/libc.ts";
import { AF_INET, sockaddrOf } from "../../src/os/sockaddr.ts";
import { must } from "../../src/os/system-error.ts";

export interface OrderReport {
  readonly received: number;
  readonly overtaken: number;
}

const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const patienceSeconds = 2;

function receive(port: number): OrderReport {
  const fd = openSocket();
  const name = sockaddrOf(new Endpoint(IpAddress.parse("0.0.0.0"), port));
  must("bind", libc.bind(fd, name, name.length));
  const timeout = new Uint8Array(16);
  timeout[0] = patienceSeconds;
  must("setsockopt", libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length));
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, Uint8Array.of(0, 0, 64, 0), 4);
  console.log("listening");
  const buffer = new Uint8Array(2048);
  const number = new DataView(buffer.buffer);
  const report = { received: 0, overtaken: 0 };
  for (let last = -1; libc.recvfrom(fd, buffer, buffer.length, 0, null, null) >= 0; report.received++) {
    if (number.getUint32(0) <= last) report.overtaken++;
    else last = number.getUint32(0);
  }
  return report;
}

function send(address: string, port: number, count: number): void {
  const fd = openSocket();
  const name = sockaddrOf(new Endpoint(IpAddress.parse(address), port));
  const bytes = new Uint8Array(1300);
  for (let i = 0; i < count; i++) {
    new DataView(bytes.buffer).setUint32(0, i);
    libc.sendto(fd, bytes.subarray(0, 4 + ((i * 37) % 1200)), 4 + ((i * 37) % 1200), 0, name, name.length);
  }
}

function openSocket(): number {
  return must("socket", libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0));
}

const [role, ...parameters] = process.argv.slice(2);
if (role === "receive") console.log(JSON.stringify(receive(Number(parameters[0]))));
else send(parameters[0], Number(parameters[1]), Number(parameters[2]));
