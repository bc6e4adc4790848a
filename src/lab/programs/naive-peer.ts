/**
 * The naive VPN, either end: `naive-peer server|client ADDRESS PORT DEVICE`. It opens a TUN device and one TCP connection,
 * waits on both, and passes on what each read returns as if that were one packet, every byte XORed with 0x42. That is
 * wrong for what comes from TCP, and here to show how. What was read from TCP is kept up to `keptBytes`.
 *
 * It says `{"event":"listening"}` and `{"event":"connected"}`. On SIGINT it says `reads`: the lengths of the first reads
 * from TCP, what they held, decoded, in base64, how many reads there were, and how many the device refused to take.
 */

import { Endpoint } from "../../base/address.ts";
import { toBase64 } from "../../base/bytes.ts";
import { VpnError } from "../../base/errors.ts";
import { Arena } from "../../os/arena.ts";
import { errno, libc } from "../../os/libc.ts";
import { POLLIN, POLLOUT, Poller } from "../../os/poller.ts";
import { Errno } from "../../os/system-error.ts";
import { acceptTcp, connectionError, connectTcp, openTcpListener } from "../../os/tcp-socket.ts";
import { TunDevice } from "../../os/tun-device.ts";

const key = 0x42;
const bufferSize = 2048; // as the seed has it
const bufferAt = 64; // the poller lies before it
const keptBytes = 1_000_000;
const shortWaitMs = 50; // so that a signal is heard
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

const [role, address, port, device] = process.argv.slice(2);
const endpoint = Endpoint.parse(`${address}:${port}`);
const arena = new Arena({ size: 65_536 });
const bytes = new Uint8Array(arena.buffer);
const lengths: number[] = [];
const kept: Uint8Array[] = [];
let keptLength = 0;
let reads = 0;
let refused = 0;
let ended = false;

process.once("SIGINT", () => {
  ended = true;
});

const tun = TunDevice.open({ name: device, virtioHeader: false });
const connection = role === "server" ? await accept() : await connect();
libc.setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, Uint8Array.of(0, 0, 0, 0), 4); // the seed does not ask for it
say({ event: "connected" });
const poller = new Poller(arena, 0, [tun.fd, connection]);
while (!ended) {
  await breathe();
  if (poller.wait(shortWaitMs) === 0) continue;
  if (poller.ready(0) !== 0) fromTun();
  if (poller.ready(1) !== 0 && !fromTcp()) break;
}
say({ event: "reads", lengths, bytes: toBase64(Buffer.concat(kept)), reads, refused });

function fromTun(): void {
  const length = libc.read(tun.fd, arena.base + bufferAt, bufferSize);
  if (length < 0) return;
  applyKey(length);
  for (let sent = 0; sent < length; ) {
    const count = libc.write(connection, arena.base + bufferAt + sent, length - sent);
    if (count > 0) sent += count;
    else if (errno() === Errno.EAGAIN) waitFor(connection, POLLOUT, -1);
    else return;
  }
}

/** One read is one packet: the mistake. False at the connection's end. */
function fromTcp(): boolean {
  const length = libc.read(connection, arena.base + bufferAt, bufferSize);
  if (length < 0) return errno() === Errno.EAGAIN;
  if (length === 0) return false;
  applyKey(length);
  reads++;
  if (keptLength + length <= keptBytes) {
    lengths.push(length);
    kept.push(bytes.slice(bufferAt, bufferAt + length));
    keptLength += length;
  }
  if (libc.write(tun.fd, arena.base + bufferAt, length) < 0) refused++;
  return true;
}

function applyKey(length: number): void {
  for (let at = bufferAt; at < bufferAt + length; at++) bytes[at] ^= key;
}

async function accept(): Promise<number> {
  const listener = openTcpListener(endpoint);
  say({ event: "listening" });
  for (;;) {
    const accepted = acceptTcp(listener);
    if (accepted !== undefined) return accepted.fd;
    waitFor(listener, POLLIN, shortWaitMs);
    if (ended) throw new VpnError("lab-step-failed", "nobody connected");
    await breathe();
  }
}

async function connect(): Promise<number> {
  const fd = connectTcp(endpoint);
  while (waitFor(fd, POLLOUT, shortWaitMs) === 0) {
    if (ended) throw new VpnError("lab-step-failed", "nobody answered");
    await breathe();
  }
  const failure = connectionError(fd, endpoint);
  if (failure !== undefined) throw failure;
  return fd;
}

function waitFor(fd: number, events: number, timeoutMs: number): number {
  const single = new Poller(arena, 16, [fd]);
  single.watch(0, events);
  return single.wait(timeoutMs);
}

/** Lets signals through. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function say(event: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify(event));
}
