import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../src/base/address.ts";
import { VpnError } from "../../src/base/errors.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { everyPacket, udpPackets } from "../../src/os/packet-filter.ts";
import { type CapturedPacket, PacketSocket } from "../../src/os/packet-socket.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces } from "../requirements.ts";
import { receiveDatagram } from "./datagrams.ts";
import { SmallNetwork } from "./small-network.ts";

const server = Endpoint.parse("10.1.0.1:7000");

/** The datagrams' text in a capture of IPv4 packets; what is not UDP is passed over. */
function texts(packets: readonly CapturedPacket[]): string[] {
  const udp = packets.filter(({ bytes, protocol }) => protocol === 0x0800 && bytes[9] === 17);
  return udp.map(({ bytes, outgoing }) => `${outgoing ? ">" : "<"} ${Buffer.from(bytes.subarray(28))}`);
}

test("both ends of a cable see what passes, each its own way round", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home, router } = network;
  using near = home.namespace.run(() => PacketSocket.open({ device: home.indexOf("eth0") }));
  using far = router.namespace.run(() => PacketSocket.open({ device: router.indexOf("inside") }));
  using elsewhere = router.namespace.run(() => PacketSocket.open({ device: router.indexOf("outside") }));
  using client = home.namespace.run(() => openUdpSockets({ port: 0 }));
  using service = router.namespace.run(() => openUdpSockets({ port: server.port }));
  sendDatagram(client, new TextEncoder().encode("question"), server);
  const { source } = receiveDatagram(service.v4);
  sendDatagram(service, new TextEncoder().encode("answer"), source ?? assert.fail());
  receiveDatagram(client.v4);
  assert.deepEqual(texts(near.drainPackets()), ["> question", "< answer"]);
  assert.deepEqual(texts(far.drainPackets()), ["< question", "> answer"]);
  assert.deepEqual(texts(elsewhere.drainPackets()), []);
  assert.deepEqual(near.drainPackets(), [], "each packet is given once");
  assert.equal(near.dropped(), 0);
});

test("frames begin with their Ethernet header", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home } = network;
  using capture = home.namespace.run(() => PacketSocket.open({ device: home.indexOf("eth0"), frames: true }));
  using client = home.namespace.run(() => openUdpSockets({ port: 0 }));
  using service = network.router.namespace.run(() => openUdpSockets({ port: server.port }));
  sendDatagram(client, new TextEncoder().encode("question"), server);
  receiveDatagram(service.v4);
  const frame = capture.drainPackets().find(({ protocol }) => protocol === 0x0800);
  assert.deepEqual([...(frame?.bytes.subarray(12, 15) ?? [])], [0x08, 0x00, 0x45]);
});

test("packets are handed over as they come", { timeout: 20_000 }, async (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home } = network;
  using capture = home.namespace.run(() => PacketSocket.open({ device: home.indexOf("eth0") }));
  using client = home.namespace.run(() => openUdpSockets({ port: 0 }));
  const seen = Promise.withResolvers<void>();
  const heard: string[] = [];
  using _listening = capture.onPackets((packets) => {
    heard.push(...texts(packets));
    if (heard.length >= 3) seen.resolve();
  });
  const stayAwake = setInterval(() => {}, 1000);
  for (const text of ["one", "two", "three"]) {
    sendDatagram(client, new TextEncoder().encode(text), server);
    await new Promise(setImmediate);
  }
  await seen.promise;
  clearInterval(stayAwake);
  assert.deepEqual(heard, ["> one", "> two", "> three"]);
});

test("what does not fit the buffer is counted", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home } = network;
  const device = home.indexOf("eth0");
  using capture = home.namespace.run(() => PacketSocket.open({ device, bufferBytes: 4096 }));
  using client = home.namespace.run(() => openUdpSockets({ port: 0 }));
  const count = 100;
  using service = network.router.namespace.run(() => openUdpSockets({ port: server.port }));
  for (let i = 0; i < count; i++) {
    sendDatagram(client, new TextEncoder().encode("much"), server);
    receiveDatagram(service.v4);
  }
  const dropped = capture.dropped();
  const kept = capture.drainPackets().length;
  assert.ok(dropped > 0 && kept > 0);
  assert.ok(dropped + kept >= count, `${dropped} dropped and ${kept} kept`);
  assert.equal(capture.dropped(), dropped, "the count does not start again");
});

test("an interface may be down or go away, and one that never was is an error", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home } = network;
  const device = home.indexOf("eth0");
  home.config.links.set(device, { up: false });
  using capture = home.namespace.run(() => PacketSocket.open({ device }));
  assert.deepEqual(capture.drainPackets(), []);
  home.config.links.delete(device);
  assert.deepEqual(capture.drainPackets(), []);
  assert.throws(
    () => home.namespace.run(() => PacketSocket.open({ device })),
    (error) => error instanceof VpnError && error.code === "not-available" && /ENODEV/.test(error.message),
  );
});

test("a filter takes what is on its port, over IPv4 and IPv6, and cuts it", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home, router } = network;
  const device = home.indexOf("eth0");
  using all = home.namespace.run(() => PacketSocket.open({ device, filter: everyPacket(24) }));
  using ours = home.namespace.run(() => PacketSocket.open({ device, filter: udpPackets(server.port, 60) }));
  using client = home.namespace.run(() => openUdpSockets({ port: 0 }));
  using service = router.namespace.run(() => openUdpSockets({ port: server.port }));
  using other = router.namespace.run(() => openUdpSockets({ port: server.port + 1 }));
  const question = new TextEncoder().encode("a question of more than sixty bytes, headers included".padEnd(100));
  const v6 = Endpoint.parse(`[fd01::1]:${server.port}`);
  for (const to of [server, v6, Endpoint.parse(`10.1.0.1:${server.port + 1}`)]) sendDatagram(client, question, to);
  const { source } = receiveDatagram(service.v4);
  receiveDatagram(service.v6 ?? assert.fail());
  receiveDatagram(other.v4);
  sendDatagram(service, question, source ?? assert.fail());
  receiveDatagram(client.v4);
  const seen = ours.drainPackets().map(({ bytes, outgoing }) => [bytes[0] >> 4, bytes.length, outgoing]);
  assert.deepEqual(seen, [
    [4, 60, true],
    [6, 60, true],
    [4, 60, false],
  ]);
  assert.ok(all.drainPackets().every(({ bytes }) => bytes.length <= 24));
});

test("a capture that is asked for times gives them, and counts what it took and dropped", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home, router } = network;
  const device = home.indexOf("eth0");
  const filter = udpPackets(server.port, 2000);
  using capture = home.namespace.run(() => PacketSocket.open({ device, filter, times: true, bufferBytes: 16_384 }));
  using client = home.namespace.run(() => openUdpSockets({ port: 0 }));
  using service = router.namespace.run(() => openUdpSockets({ port: server.port }));
  const before = Date.now();
  for (let i = 0; i < 100; i++) {
    sendDatagram(client, new Uint8Array(1000), server);
    receiveDatagram(service.v4);
  }
  const after = Date.now();
  const [first, second, ...rest] = capture.drainPackets(2);
  assert.equal(rest.length, 0, "no more than were asked for");
  const [a, b] = [first, second].map(({ time }) => 1000 * (time?.seconds ?? 0) + (time?.nanoseconds ?? 0) / 1e6);
  assert.ok(before - 1 <= a && a < b && b <= after + 1, `${before} ${a} ${b} ${after}`);
  const kept = 2 + capture.drainPackets().length;
  assert.deepEqual(capture.statistics(), { taken: 100, dropped: 100 - kept });
  assert.ok(kept < 100, "more than the buffer had room for");
});
