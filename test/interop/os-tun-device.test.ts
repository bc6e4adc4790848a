import assert from "node:assert/strict";
import { readSync, writeSync } from "node:fs";
import { test } from "node:test";
import { Cidr, Endpoint } from "../../src/base/address.ts";
import { VpnError } from "../../src/base/errors.ts";
import { Arena } from "../../src/os/arena.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { libc } from "../../src/os/libc.ts";
import { POLLERR, Poller } from "../../src/os/poller.ts";
import { TunDevice, type TunDeviceOptions, virtioHeaderSize } from "../../src/os/tun-device.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces } from "../requirements.ts";
import { awaitReadable, receiveDatagram } from "./datagrams.ts";
import { Host } from "./small-network.ts";

/** Fields of struct virtio_net_hdr. */
const Virtio = { flags: 0, kind: 1, segment: 4 } as const;
const needsChecksum = 1;
const udpSegments = 5;

/** A host with a tunnel interface that is up, and the packets of IPv4 that come out of it. */
class TunHost extends Host {
  readonly tun: TunDevice;

  constructor(options: Partial<TunDeviceOptions> = {}) {
    super();
    this.tun = this.namespace.run(() => TunDevice.open({ name: "wg%d", ...options }));
    this.setUp(this.tun.name, "10.8.0.2/24");
  }

  /** The next packet with its header, passing over what IPv6 says of its own accord. */
  read(): Buffer {
    const bytes = Buffer.alloc(70_000);
    for (;;) {
      awaitReadable(this.tun.fd);
      const length = readSync(this.tun.fd, bytes);
      if (bytes[virtioHeaderSize] >> 4 === 4) return bytes.subarray(0, length);
    }
  }

  override [Symbol.dispose](): void {
    this.tun[Symbol.dispose]();
    super[Symbol.dispose]();
  }
}

test("what is sent into the tunnel is read behind a virtio header", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new TunHost();
  using sockets = host.namespace.run(() => openUdpSockets({ port: 0 }));
  sendDatagram(sockets, new TextEncoder().encode("hello"), Endpoint.parse("10.8.0.1:53"));
  const packet = host.read();
  assert.equal(packet.length, virtioHeaderSize + 20 + 8 + 5);
  const { checksum, tso4, tso6 } = host.tun.offloads;
  assert.deepEqual([checksum, tso4, tso6], [true, true, true], "every kernel that runs Node has these");
  assert.equal(packet[Virtio.flags], needsChecksum);
  assert.equal(packet[virtioHeaderSize], 0x45);
  assert.deepEqual([...packet.subarray(virtioHeaderSize + 16, virtioHeaderSize + 20)], [10, 8, 0, 1]);
  assert.equal(packet.subarray(-5).toString(), "hello");
});

test("what is written to the device arrives as if from the network", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new TunHost();
  using sockets = host.namespace.run(() => openUdpSockets({ port: 0 }));
  sendDatagram(sockets, new TextEncoder().encode("hello"), Endpoint.parse("10.8.0.1:53"));
  const packet = host.read();
  // Turned round, it is its own answer: the header still says which sum is to be made, and no sum has changed, being one
  // over the same words in other places.
  for (const [at, length] of [
    [12, 4],
    [20, 2],
  ]) {
    const first = packet.subarray(virtioHeaderSize + at, virtioHeaderSize + at + length);
    const second = packet.subarray(virtioHeaderSize + at + length, virtioHeaderSize + at + 2 * length);
    const kept = Uint8Array.from(first);
    first.set(second);
    second.set(kept);
  }
  writeSync(host.tun.fd, packet);
  const answer = receiveDatagram(sockets.v4);
  assert.equal(answer.text, "hello");
  assert.equal(String(answer.source), "10.8.0.1:53");
});

test("with UDP offload one read is a super-packet, and without offloads every packet is whole", (t) => {
  if (!requireNamespaces(t)) return;
  for (const offloads of ["probe", "none"] as const) {
    using host = new TunHost({ offloads });
    using sockets = host.namespace.run(() => openUdpSockets({ port: 0 }));
    if (!sockets.offloads.segmentation) return;
    assert.equal(libc.setsockopt(sockets.v4, 17, 103, Uint8Array.of(0xe8, 0x03, 0, 0), 4), 0); // segments of 1,000
    sendDatagram(sockets, new Uint8Array(5000), Endpoint.parse("10.8.0.1:53"));
    const packet = host.read();
    const segment = packet.readUInt16LE(Virtio.segment);
    if (host.tun.offloads.uso) {
      assert.deepEqual([packet[Virtio.kind], segment, packet.length], [udpSegments, 1000, virtioHeaderSize + 5028]);
    } else {
      assert.deepEqual([packet[Virtio.kind], segment, packet.length], [0, 0, virtioHeaderSize + 1028]);
    }
    if (offloads === "none") {
      assert.deepEqual(host.tun.offloads, { checksum: false, tso4: false, tso6: false, uso: false });
      assert.equal(packet[Virtio.flags], 0);
    }
  }
});

test("offloads can be switched off while the device is in use", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new TunHost();
  using sockets = host.namespace.run(() => openUdpSockets({ port: 0 }));
  host.tun.disableOffloads();
  sendDatagram(sockets, new Uint8Array(5), Endpoint.parse("10.8.0.1:53"));
  assert.equal(host.read()[Virtio.flags], 0);
});

test("a multi-queue device has as many descriptors as were asked for", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new TunHost({ multiQueue: true });
  const second = host.namespace.run(() => host.tun.openQueue());
  assert.notEqual(second, host.tun.fd);
  const write = () => writeSync(second, new Uint8Array(virtioHeaderSize + 20).fill(0x45, virtioHeaderSize));
  assert.equal(write(), virtioHeaderSize + 20);
  using single = new TunHost();
  assert.throws(
    () => single.namespace.run(() => single.tun.openQueue()),
    (error) => error instanceof VpnError && error.code === "name-taken",
  );
});

test("a device that is deleted polls POLLERR", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new TunHost();
  using arena = new Arena({ size: 65_536 });
  const poller = new Poller(arena, 0, [host.tun.fd]);
  host.config.links.delete(host.tun.index);
  assert.equal(poller.wait(5000), 1);
  assert.equal(poller.ready(0) & POLLERR, POLLERR);
});

test("a device that is closed is gone, with its addresses", (t) => {
  if (!requireNamespaces(t)) return;
  const host = new TunHost();
  host.tun[Symbol.dispose]();
  assert.equal(host.config.links.find(host.tun.name), undefined);
  assert.ok(!host.config.addresses.list().some(({ address }) => address.equals(Cidr.parse("10.8.0.2/24"))));
  host.config[Symbol.dispose]();
  host.namespace[Symbol.dispose]();
});

test("names that are taken or impossible are told apart", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new TunHost({ name: "wg0" });
  host.config.links.createVeth({ name: "cable", peerName: "end" });
  const open = (name: string) => () => host.namespace.run(() => TunDevice.open({ name }));
  const is = (code: string, pattern: RegExp) => (error: unknown) =>
    error instanceof VpnError && error.code === code && pattern.test(error.line);
  assert.throws(open("wg0"), is("name-taken", /another process has.*EBUSY\): choose another name, or delete it/));
  assert.throws(open("cable"), is("name-taken", /there is .* cable already.*EINVAL\): choose another name$/));
  for (const name of ["", "sixteen-letters-", "a/b", "a b", "a:b", "..", "all", "wg%s", "%d%d"]) {
    assert.throws(open(name), is("invalid-argument", /not an interface name/), name);
  }
  using numbered = host.namespace.run(() => TunDevice.open({ name: "wg%d" }));
  assert.equal(numbered.name, "wg1");
});

test("a name that is taken is told apart: only a TUN device may be deleted for it", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new TunHost({ multiQueue: true });
  const refusal = (name: string) => {
    try {
      host.namespace.run(() => TunDevice.open({ name })[Symbol.dispose]());
    } catch (error) {
      assert.ok(error instanceof VpnError);
      assert.equal(error.code, "name-taken");
      return error.line;
    }
    return assert.fail("it was made");
  };
  assert.equal(refusal("lo"), "there is a network interface lo already (TUNSETIFF: EINVAL): choose another name");
  assert.equal(
    refusal("wg0"),
    "there is a network interface wg0 already (TUNSETIFF: EINVAL): choose another name, or delete it with `ip link delete wg0`",
  );
  using plain = host.namespace.run(() => TunDevice.open({ name: "wg1" }));
  assert.match(refusal(plain.name), /^another process has the interface wg1 \(TUNSETIFF: EBUSY\): choose another name/);
});
