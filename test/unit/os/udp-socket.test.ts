import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { Endpoint, IpAddress } from "../../../src/base/address.ts";
import { VpnError } from "../../../src/base/errors.ts";
import { Arena } from "../../../src/os/arena.ts";
import { libc } from "../../../src/os/libc.ts";
import { Poller } from "../../../src/os/poller.ts";
import { decodeSockaddr, sockaddrSize } from "../../../src/os/sockaddr.ts";
import { Errno } from "../../../src/os/system-error.ts";
import { openUdpSockets, sendDatagram } from "../../../src/os/udp-socket.ts";

function receive(fd: number): { bytes: Uint8Array; source: Endpoint | undefined } {
  using arena = new Arena({ size: 65_536 });
  assert.equal(new Poller(arena, 0, [fd]).wait(5000), 1, "nothing arrived");
  const bytes = new Uint8Array(2048);
  const name = new Uint8Array(sockaddrSize);
  const length = libc.recvfrom(fd, bytes, bytes.length, 0, name, Uint8Array.of(name.length, 0, 0, 0));
  return { bytes: bytes.subarray(0, length), source: decodeSockaddr(name) };
}

test("a datagram goes from one port to another, over IPv4 and over IPv6", () => {
  using alice = openUdpSockets({ port: 0 });
  using bob = openUdpSockets({ port: 0 });
  const hello = new TextEncoder().encode("hello");
  for (const [address, fd] of [
    ["127.0.0.1", bob.v4],
    ["::1", bob.v6],
  ] as const) {
    if (fd === undefined) continue; // a machine without IPv6
    assert.equal(sendDatagram(alice, hello, new Endpoint(IpAddress.parse(address), bob.port)), 0);
    const { bytes, source } = receive(fd);
    assert.deepEqual(bytes, hello);
    assert.equal(String(source), String(new Endpoint(IpAddress.parse(address), alice.port)));
  }
});

test("what the network refuses is an errno, not an exception", () => {
  using sockets = openUdpSockets({ port: 0, v4Address: IpAddress.parse("127.0.0.1") });
  const beyond = Endpoint.parse("192.0.2.1:9"); // a socket bound to loopback cannot leave it
  assert.equal(sendDatagram(sockets, new Uint8Array(1), beyond), Errno.EINVAL);
  const large = new Uint8Array(65_508);
  assert.equal(sendDatagram(sockets, large, Endpoint.parse("127.0.0.1:9")), Errno.EMSGSIZE);
});

test("a destination of a family without a socket is EAFNOSUPPORT", () => {
  using sockets = openUdpSockets({ port: 0 });
  const v4Only = Object.assign(Object.create(sockets), { v6: undefined });
  assert.equal(sendDatagram(v4Only, new Uint8Array(1), Endpoint.parse("[::1]:9")), Errno.EAFNOSUPPORT);
});

test("a port that is taken says so, and leaves nothing open", () => {
  using sockets = openUdpSockets({ port: 0 });
  const open = readdirSync("/proc/self/fd").length;
  assert.throws(
    () => openUdpSockets({ port: sockets.port }),
    (error) =>
      error instanceof VpnError &&
      error.code === "port-taken" &&
      /EADDRINUSE/.test(error.message) &&
      error.line.includes(`sport = :${sockets.port}`),
  );
  assert.equal(readdirSync("/proc/self/fd").length, open);
});

test("an address that this machine does not have is an error, for IPv6 too", () => {
  const open = readdirSync("/proc/self/fd").length;
  for (const options of [{ v4Address: IpAddress.parse("192.0.2.1") }, { v6Address: IpAddress.parse("2001:db8::1") }]) {
    assert.throws(
      () => openUdpSockets({ port: 0, ...options }),
      (error) =>
        error instanceof VpnError && /EADDRNOTAVAIL/.test(error.message) && /give this machine/.test(error.line),
    );
  }
  assert.equal(readdirSync("/proc/self/fd").length, open);
});

test("offloads that were not asked for are off", () => {
  using sockets = openUdpSockets({ port: 0, offloads: "none" });
  assert.deepEqual(sockets.offloads, { segmentation: false, receiveOffload: false });
  const value = new Uint8Array(4);
  assert.equal(libc.getsockopt(sockets.v4, 17, 104, value, Uint8Array.of(4, 0, 0, 0)), 0);
  assert.equal(value[0], 0);
});

test("with UDP_GRO one receive takes many datagrams that were sent by one call", () => {
  using alice = openUdpSockets({ port: 0 });
  using bob = openUdpSockets({ port: 0 });
  if (!alice.offloads.segmentation || !bob.offloads.receiveOffload) return; // the probe says what this kernel lacks
  assert.equal(libc.setsockopt(alice.v4, 17, 103, Uint8Array.of(100, 0, 0, 0), 4), 0);
  assert.equal(
    sendDatagram(alice, new Uint8Array(1000).fill(7), new Endpoint(IpAddress.parse("127.0.0.1"), bob.port)),
    0,
  );
  assert.equal(receive(bob.v4).bytes.length, 1000);
});
