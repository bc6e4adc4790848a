import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { Endpoint, IpAddress } from "../../src/base/address.ts";
import { VpnError } from "../../src/base/errors.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { libc } from "../../src/os/libc.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { Errno } from "../../src/os/system-error.ts";
import { openUdpSockets, type UdpSocketOptions, type UdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces } from "../requirements.ts";
import { receiveDatagram } from "./datagrams.ts";
import { Host } from "./small-network.ts";

/** Opens sockets on a host of their own, whose loopback is up. */
class UdpHost extends Host {
  open(options: Partial<UdpSocketOptions> = {}): UdpSockets {
    return this.namespace.run(() => openUdpSockets({ port: 0, ...options }));
  }
}

test("a datagram goes from one port to another, over IPv4 and over IPv6", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new UdpHost();
  using alice = host.open();
  using bob = host.open();
  const hello = new TextEncoder().encode("hello");
  for (const [address, fd] of [
    ["127.0.0.1", bob.v4],
    ["::1", bob.v6],
  ] as const) {
    if (fd === undefined) continue; // a machine without IPv6
    assert.equal(sendDatagram(alice, hello, new Endpoint(IpAddress.parse(address), bob.port)), 0);
    const { text, source } = receiveDatagram(fd);
    assert.equal(text, "hello");
    assert.equal(String(source), String(new Endpoint(IpAddress.parse(address), alice.port)));
  }
});

test("what the network refuses is an errno, not an exception", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new UdpHost();
  using sockets = host.open();
  const unrouted = Endpoint.parse("192.0.2.1:9");
  assert.equal(sendDatagram(sockets, new Uint8Array(1), unrouted), Errno.ENETUNREACH);
  const large = new Uint8Array(65_508);
  assert.equal(sendDatagram(sockets, large, Endpoint.parse("127.0.0.1:9")), Errno.EMSGSIZE);
});

test("a destination of a family without a socket is EAFNOSUPPORT", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new UdpHost();
  using sockets = host.open();
  const v4Only = Object.assign(Object.create(sockets), { v6: undefined });
  assert.equal(sendDatagram(v4Only, new Uint8Array(1), Endpoint.parse("[::1]:9")), Errno.EAFNOSUPPORT);
});

test("a port that is taken says so, and leaves nothing open", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new UdpHost();
  using sockets = host.open();
  const open = readdirSync("/proc/self/fd").length;
  assert.throws(
    () => host.open({ port: sockets.port }),
    (error) =>
      error instanceof VpnError &&
      error.code === "port-taken" &&
      /EADDRINUSE/.test(error.message) &&
      error.line.includes(`sport = :${sockets.port}`),
  );
  assert.equal(readdirSync("/proc/self/fd").length, open);
});

test("an address that this machine does not have is an error, for IPv6 too", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new UdpHost();
  const open = readdirSync("/proc/self/fd").length;
  for (const options of [{ v4Address: IpAddress.parse("192.0.2.1") }, { v6Address: IpAddress.parse("2001:db8::1") }]) {
    assert.throws(
      () => host.open({ ...options }),
      (error) =>
        error instanceof VpnError && /EADDRNOTAVAIL/.test(error.message) && /give this machine/.test(error.line),
    );
  }
  assert.equal(readdirSync("/proc/self/fd").length, open);
});

test("offloads that were not asked for are off", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new UdpHost();
  using sockets = host.open({ offloads: "none" });
  assert.deepEqual(sockets.offloads, { segmentation: false, receiveOffload: false });
  const value = new Uint8Array(4);
  assert.equal(libc.getsockopt(sockets.v4, 17, 104, value, Uint8Array.of(4, 0, 0, 0)), 0);
  assert.equal(value[0], 0);
});

test("with UDP_GRO one receive takes many datagrams that were sent by one call", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new UdpHost();
  using alice = host.open();
  using bob = host.open();
  if (!alice.offloads.segmentation || !bob.offloads.receiveOffload) return; // the probe says what this kernel lacks
  assert.equal(libc.setsockopt(alice.v4, 17, 103, Uint8Array.of(100, 0, 0, 0), 4), 0);
  assert.equal(
    sendDatagram(alice, new Uint8Array(1000).fill(7), new Endpoint(IpAddress.parse("127.0.0.1"), bob.port)),
    0,
  );
  assert.equal(receiveDatagram(bob.v4).text.length, 1000);
});

test("the mark that was asked for is on both sockets", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new UdpHost();
  using sockets = host.open({ mark: 0xca6c });
  for (const fd of [sockets.v4, sockets.v6]) {
    if (fd === undefined) continue;
    const value = new Uint8Array(4);
    assert.equal(libc.getsockopt(fd, 1, 36, value, Uint8Array.of(4, 0, 0, 0)), 0);
    assert.deepEqual([...value], [0x6c, 0xca, 0, 0]);
  }
});

test("a port that IPv6 has not free is passed over when any will do", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new UdpHost();
  host.namespace.run(() => {
    Sysctl.set("net/ipv4/ip_local_port_range", "40000\t40001");
    const taken = libc.socket(10, 2, 0);
    try {
      libc.setsockopt(taken, 41, 26, Uint8Array.of(1, 0, 0, 0), 4); // IPV6_V6ONLY
      const name = new Uint8Array(28);
      name[0] = 10;
      new DataView(name.buffer).setUint16(2, 40_000);
      assert.equal(libc.bind(taken, name, name.length), 0);
      for (let i = 0; i < 10; i++) {
        using sockets = host.open({ v4Address: IpAddress.parse("127.0.0.1") });
        assert.equal(sockets.port, 40_001);
      }
    } finally {
      libc.close(taken);
    }
  });
});
