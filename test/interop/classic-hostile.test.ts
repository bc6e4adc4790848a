import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Endpoint, IpAddress } from "../../src/base/address.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { connectTcp } from "../../src/os/tcp-socket.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { requireProgram } from "../requirements.ts";
import {
  addressesOf,
  classicPort,
  isReady,
  megabyte,
  serverAddress,
  startClient,
  startServer,
  stop,
  tunnelOf,
} from "./classic-pair.ts";
import type { Machine } from "./machine.ts";
import { within } from "./patience.ts";
import { ping } from "./ping.ts";
import { Underlay } from "./underlay.ts";

const twoGigabytes = 2 ** 31;

/** A client of our own making: sends what it likes, already encoded. */
function connectRaw(host: Machine): Socket {
  const endpoint = new Endpoint(IpAddress.parse(serverAddress), classicPort);
  const socket = new Socket({ fd: host.namespace.run(() => connectTcp(endpoint)) });
  socket.on("error", () => undefined);
  socket.resume();
  return socket;
}

/** Resolves on an event, whatever errors come before it. */
function happens(socket: Socket, event: "drain" | "close"): Promise<void> {
  return new Promise((resolve) => socket.once(event, () => resolve()));
}

function encode(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ 0x42);
}

/** An IPv4 header from this address to the server's, and zeros. */
function packetFrom(source: string, length = 84): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x45, 0, length >> 8, length & 255, 0, 0, 0, 0, 64, 1, 0, 0]);
  bytes.set(IpAddress.parse(source).bytes, 12);
  bytes.set(IpAddress.parse(tunnelOf.server[4]).bytes, 16);
  return bytes;
}

/** The number that the next descriptor of a process would get. */
function lowestFree(pid: number): number {
  const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let fd = 0;
  while (taken.has(fd)) fd++;
  return fd;
}

describe("the server of classic, among bad clients", { concurrency: 1, timeout: 60_000 }, () => {
  const hostile: [what: string, bytes: Uint8Array, reason: string][] = [
    ["what is not IP", Uint8Array.of(0x16, 3, 1, 0, 200), "it sent what is not an IP packet"],
    ["a length that lies", Uint8Array.of(0x45, 0, 0, 19), "it sent a packet whose length cannot be true"],
    ["half a packet, and hangs up", packetFrom("10.8.0.9").subarray(0, 50), "it hung up in the middle of a packet"],
  ];

  test("closes each with a reason; another client notices nothing", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const { left, right } = underlay;
    const server = await startServer(right);
    await startClient(left, ...addressesOf("client"));
    const honest = ping(left, tunnelOf.server[4], { count: 40, intervalSeconds: 0.02 });
    for (const [what, bytes, reason] of hostile) {
      const socket = connectRaw(left);
      socket.end(what.includes("hangs up") ? encode(bytes) : encode(Buffer.concat([packetFrom("10.8.0.9"), bytes])));
      await server.line(new RegExp(`closed, ${reason}$`));
    }
    assert.equal((await honest).received, 40);
    await stop(server);
  });

  test("takes 2 GB of packets without keeping any of them", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const { left, right } = underlay;
    const server = await startServer(right);
    await startClient(left, ...addressesOf("client"));
    const before = server.residentBytes;
    let most = before;
    const flood = connectRaw(left);
    // Of addresses without end: only a few are learnt of each client.
    const packets = Array.from({ length: 64 }, (_, i) => packetFrom(`10.8.1.${i}`, 65_000));
    const chunk = encode(Buffer.concat(packets));
    for (let sent = 0; sent < twoGigabytes; sent += chunk.length) {
      if (!flood.write(chunk)) await within(10_000, "the server to read on", happens(flood, "drain"));
      most = Math.max(most, server.residentBytes);
    }
    t.diagnostic(`${((most - before) / megabyte).toFixed(1)} MB more at the most`);
    assert.ok(most - before < 16 * megabyte, `${before} to ${most}`);
    flood.end();
    await server.line(/closed, it hung up(; \d+ packets found its queue full)?$/);
    assert.equal((await ping(left, tunnelOf.server[4])).received, 1);
    await stop(server);
  });

  const endless: [what: string, byte: number, reason: string][] = [
    ["zeros", 0x00, "it sent what is not an IP packet"],
    ["packets shorter than their headers", 0x41, "it sent a packet whose length cannot be true"],
  ];
  for (const [what, byte, reason] of endless) {
    test(`closes a client that would send 2 GB of ${what} before it has sent 16 MB`, async (t) => {
      if (!isReady(t)) return;
      using underlay = new Underlay();
      const { left, right } = underlay;
      const server = await startServer(right);
      await startClient(left, ...addressesOf("client"));
      const before = server.residentBytes;
      const flood = connectRaw(left);
      const closed = happens(flood, "close");
      const chunk = encode(new Uint8Array(megabyte).fill(byte));
      let isOpen = true;
      void closed.then(() => {
        isOpen = false;
      });
      let sent = 0;
      for (; isOpen && sent < twoGigabytes; sent += chunk.length) {
        if (!flood.write(chunk))
          await within(10_000, "the server to read on or to close", Promise.race([happens(flood, "drain"), closed]));
      }
      assert.ok(sent < 16 * megabyte, `${sent} bytes sent`);
      await server.line(new RegExp(`closed, ${reason}$`));
      assert.ok(server.residentBytes - before < 16 * megabyte);
      assert.equal((await ping(left, tunnelOf.server[4])).received, 1);
      await stop(server);
    });
  }

  test("lets nobody in while it has no descriptors left, without spinning, and goes on when it has", async (t) => {
    if (!isReady(t)) return;
    const prlimit = requireProgram(t, "prlimit", "util-linux");
    if (prlimit === undefined) return;
    using underlay = new Underlay();
    const { left, right } = underlay;
    const server = await startServer(right);
    await startClient(left, ...addressesOf("client"));
    await server.line(/: connected$/);
    const limit = (descriptors: number) => right.run(prlimit, `--pid=${server.pid}`, `--nofile=${descriptors}:1024`);
    assert.equal((await ping(left, tunnelOf.server[4])).received, 1);
    for (let lowest = 0; lowest !== lowestFree(server.pid); ) {
      lowest = lowestFree(server.pid); // again, should it just have closed what it had open for a moment
      await limit(lowest);
    }
    const begun = performance.now();
    const caller = connectRaw(left);
    await server.line(/^nobody new is let in for now: accept4 of a TCP connection failed with EMFILE; trying again/);
    assert.equal((await ping(left, tunnelOf.server[4])).received, 1, "those who are in stay");
    await limit(1024);
    const again = await server.line(/^letting clients in again, after [0-9]+ failed attempts?$/);
    const seconds = (performance.now() - begun) / 1000;
    const attempts = Number(/after ([0-9]+)/.exec(again)?.[1]);
    assert.ok(attempts <= 1 + seconds, `${attempts} attempts in ${seconds} s`); // one a second
    await server.line(/: connected$/);
    caller.write(encode(packetFrom("10.8.0.7")));
    await server.line(/has the tunnel address 10\.8\.0\.7$/);
    caller.destroy();
    await stop(server);
  });

  test("refuses a second client with a taken address, naming both, and the first stays", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const { left, right } = underlay;
    const server = await startServer(right);
    await startClient(left, ...addressesOf("client"));
    assert.equal((await ping(left, tunnelOf.server[4])).received, 1);
    const second = connectRaw(left);
    const closed = happens(second, "close");
    second.write(encode(packetFrom(tunnelOf.client[4])));
    await server.line(
      /^192\.0\.2\.1:\d+: refused, it claims the tunnel address 10\.8\.0\.2, which 192\.0\.2\.1:\d+ has$/,
    );
    await within(5000, "the server to hang up", closed);
    assert.equal((await ping(left, tunnelOf.server[4])).received, 1);
    await stop(server);
  });

  test("drops what a client does not read, and serves the others", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const { left, right } = underlay;
    const server = await startServer(right);
    await startClient(left, ...addressesOf("client"));
    const slow = connectRaw(left);
    slow.pause();
    slow.write(encode(packetFrom("10.8.0.3")));
    await server.line(/has the tunnel address 10\.8\.0\.3$/);
    const residentBefore = server.residentBytes;
    using sockets = right.namespace.run(() => openUdpSockets({ port: 0 }));
    const unread = Endpoint.parse("10.8.0.3:9");
    for (let i = 0; i < 20_000; i++) {
      sendDatagram(sockets, new Uint8Array(1400), unread);
      if (i % 100 === 0) await nextTurn();
    }
    assert.equal((await ping(left, tunnelOf.server[4])).received, 1);
    assert.ok(server.residentBytes - residentBefore < 16 * megabyte);
    slow.destroy();
    await server.line(/: closed, .*; \d+ packets found its queue full$/);
    await stop(server);
  });
});
