/**
 * A program for a host: numbered UDP datagrams whose length and bytes follow from their number, so that the receiver
 * knows of each whether it came as it was sent.
 *
 *     node datagram-stream.ts receive PORT COUNT       prints "listening", then a report
 *     node datagram-stream.ts send ADDRESS PORT COUNT
 *
 * The second half is sent by UDP_SEGMENT, which the TUN device hands over as super-packets where it can. The receiver
 * says from time to time how many it has, and the sender is never far ahead: no queue on the way overflows, however slow
 * the machine, so what is lost is lost by the tunnel.
 */
import { Endpoint, IpAddress } from "../../src/base/address.ts";
import { errno, libc } from "../../src/os/libc.ts";
import { AF_INET, AF_INET6, SockaddrIn6, sockaddrOf, sockaddrSize } from "../../src/os/sockaddr.ts";
import { Errno, must, SystemError } from "../../src/os/system-error.ts";

export interface DatagramReport {
  readonly received: number;
  readonly corrupted: number;
  readonly duplicates: number;
}

const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;

/** 1,400 bytes of payload do not fit an MTU of 1,420: they cross the tunnel as two fragments. */
const lengths = [4, 5, 47, 100, 576, 1200, 1371, 1372, 1392, 1400];
const segmentLength = 1200;
const segmentsPerCall = 40;
/** How many may be under way when more are sent; with those, less than a receive buffer of Linux's default size holds. */
const ahead = 20;
const acknowledgeEvery = 20;
const patienceSeconds = 3;

function lengthOf(number: number, count: number): number {
  return number < count / 2 ? lengths[number % lengths.length] : segmentLength;
}

function fill(datagram: Uint8Array, number: number): void {
  for (let i = 0; i < datagram.length; i++) datagram[i] = number * 31 + i * 7 + (i >> 8);
  new DataView(datagram.buffer, datagram.byteOffset).setUint32(0, number);
}

function receive(port: number, count: number): DatagramReport {
  const fd = must("socket", libc.socket(AF_INET6, SOCK_DGRAM_CLOEXEC, 0)); // takes IPv4, too
  const name = sockaddrOf(new Endpoint(IpAddress.parse("::"), port));
  must("bind", libc.bind(fd, name, name.length));
  setPatience(fd);
  console.log("listening");
  const seen = new Set<number>();
  const report = { received: 0, corrupted: 0, duplicates: 0 };
  const buffer = new Uint8Array(2048);
  const sender = new Uint8Array(sockaddrSize);
  while (seen.size < count) {
    const length = libc.recvfrom(fd, buffer, buffer.length, 0, sender, int32(sender.length));
    if (length < 0) {
      if (errno() === Errno.EINTR) continue;
      break; // silence: the report says what is missing
    }
    report.received++;
    const number = new DataView(buffer.buffer).getUint32(0);
    const expected = new Uint8Array(lengthOf(number, count));
    fill(expected, number);
    if (number >= count || Buffer.compare(expected, buffer.subarray(0, length)) !== 0) report.corrupted++;
    else if (seen.has(number)) report.duplicates++;
    else seen.add(number);
    if (report.received % acknowledgeEvery === 0) {
      const acknowledgement = int32(report.received);
      must("sendto", libc.sendto(fd, acknowledgement, 4, 0, sender, SockaddrIn6.size));
    }
  }
  return report;
}

function send(endpoint: Endpoint, count: number): void {
  const fd = must("socket", libc.socket(endpoint.family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM_CLOEXEC, 0));
  const name = sockaddrOf(endpoint);
  must("connect", libc.connect(fd, name, name.length));
  setPatience(fd);
  let acknowledged = 0;
  const awaitReceiver = (sent: number) => {
    const bytes = new Uint8Array(4);
    while (sent - acknowledged > ahead) {
      const length = libc.recvfrom(fd, bytes, 4, 0, null, null);
      if (length < 0 && errno() === Errno.EINTR) continue;
      must("recvfrom", length, { subject: `of what arrived of ${sent}` });
      acknowledged = new DataView(bytes.buffer).getInt32(0, true);
    }
  };
  const put = (bytes: Uint8Array) => {
    const sent = libc.sendto(fd, bytes, bytes.length, 0, null, 0);
    if (sent !== bytes.length) throw new SystemError("sendto", errno(), { subject: `of ${bytes.length} bytes` });
  };
  for (let number = 0; number < count / 2; number++) {
    const datagram = new Uint8Array(lengthOf(number, count));
    fill(datagram, number);
    put(datagram);
    awaitReceiver(number + 1);
  }
  must("setsockopt", libc.setsockopt(fd, SOL_UDP, UDP_SEGMENT, int32(segmentLength), 4));
  for (let number = count / 2; number < count; number += segmentsPerCall) {
    const segments = Math.min(segmentsPerCall, count - number);
    const bytes = new Uint8Array(segments * segmentLength);
    for (let i = 0; i < segments; i++) {
      fill(bytes.subarray(i * segmentLength, (i + 1) * segmentLength), number + i);
    }
    put(bytes);
    awaitReceiver(number + segments);
  }
}

function setPatience(fd: number): void {
  const patience = new Uint8Array(16); // struct timeval
  patience[0] = patienceSeconds;
  must("setsockopt", libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, patience, patience.length));
}

function int32(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}

const [role, ...parameters] = process.argv.slice(2);
const count = Number(parameters.pop());
const port = Number(parameters.pop());
if (role === "receive") console.log(JSON.stringify(receive(port, count)));
else send(new Endpoint(IpAddress.parse(parameters[0]), port), count);
