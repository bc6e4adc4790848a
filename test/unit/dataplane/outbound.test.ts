import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, Endpoint, IpAddress } from "../../../src/base/address.ts";
import { native } from "../../../src/crypto/native.ts";
import { encodeEndpoint } from "../../../src/dataplane/endpoint-record.ts";
import { ToOutbound } from "../../../src/dataplane/outbound.ts";
import { FromOutbound } from "../../../src/dataplane/sending-sessions.ts";
import { KeypairRecord, PeerRecord } from "../../../src/dataplane/shared-memory.ts";
import { Errno } from "../../../src/os/system-error.ts";
import { RejectAfterMessages } from "../../../src/wireguard/constants.ts";
import type { Keypair } from "../../../src/wireguard/keypair.ts";
import { Data, readCounter, readUint32 } from "../../../src/wireguard/messages.ts";
import { makePacket } from "../../reference/packets.ts";
import { refuseCall } from "./refused-call.ts";
import { nonceOf, Workbench } from "./workbench.ts";

const nothing = new Uint8Array(0);
/** NEEDS_CSUM, TCPv4, no header length, a size of 1,380, the TCP header at 20 and its checksum 16 on. */
const tso4 = Uint8Array.of(1, 1, 0, 0, 0x64, 0x05, 20, 0, 16, 0);

/** A workbench with one peer, which has 10.8.0.0/24 and a session unless said otherwise. */
function bench(mtu?: number): { bench: Workbench; keypair: Keypair; id: number } {
  const bench = new Workbench(mtu);
  const id = bench.peers.add();
  bench.peers.setEndpoint(id, encodeEndpoint(bench.remote));
  bench.allowedIps.insert(Cidr.parse("10.8.0.0/24"), id);
  return { bench, keypair: bench.addKeypair(id), id };
}

/** Opens a message as the peer would; also says which counter it had. */
function open(keypair: Keypair, message: Uint8Array): { counter: number; packet: Uint8Array } {
  assert.equal(readUint32(message, 0), Data.type);
  assert.equal(readUint32(message, Data.receiver), 0xfedc_ba98);
  const counter = readCounter(message, Data.counter);
  const packet = native.open(keypair.sendKey, nonceOf(counter), message.subarray(16), nothing);
  assert.ok(packet, "the message is not authentic");
  return { counter, packet };
}

for (const [length, padded, mtu] of [
  [60, 64, 1420],
  [64, 64, 1420],
  [1405, 1408, 1420],
  [1409, 1420, 1420],
  [1420, 1420, 1420],
  [1390, 1392, 1393],
  [1393, 1393, 1393],
]) {
  test(`a packet of ${length} bytes travels as ${padded} at an MTU of ${mtu}, the rest zeros`, () => {
    const { bench: bed, keypair } = bench(mtu);
    using _bed = bed;
    const packet = makePacket({ payload: new Uint8Array(length - 40).fill(7) });
    bed.toDevice(packet);
    bed.outbound.batch();
    const messages = bed.fromNetwork();
    assert.equal(messages.length, 1);
    assert.equal(messages[0].length, padded + 32);
    const opened = open(keypair, messages[0]).packet;
    assert.deepEqual(opened.subarray(0, length), packet);
    assert.ok(opened.subarray(length).every((byte) => byte === 0));
  });
}

test("a super-packet travels as full packets and a shorter one, each numbered once and finished", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  const payload = Uint8Array.from({ length: 1380 * 40 + 99 }, (_, i) => i * 7);
  bed.toDevice(makePacket({ payload, sequence: 5000, isPartial: true, flags: 0x18 }), tso4);
  bed.outbound.batch();
  const opened = bed.fromNetwork().map((message) => open(keypair, message));
  assert.deepEqual(
    opened.map(({ counter }) => counter),
    Array.from({ length: 41 }, (_, i) => i),
  );
  for (const [i, { packet }] of opened.entries()) {
    const part = payload.subarray(i * 1380, (i + 1) * 1380);
    const whole = makePacket({
      payload: part,
      sequence: 5000 + i * 1380,
      identification: i,
      flags: i === 40 ? 0x18 : 0x10,
    });
    assert.deepEqual(packet.subarray(0, whole.length), whole, `packet ${i}`);
  }
});

test("a stranger may have a super-packet cut into more packets than there are slots", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  const header = tso4.slice();
  header[4] = 48;
  header[5] = 0;
  const payload = Uint8Array.from({ length: 48 * 700 + 1 }, (_, i) => i * 3);
  bed.toDevice(makePacket({ payload, isPartial: true }), header);
  bed.outbound.batch();
  const opened = bed.fromNetwork().map((message) => open(keypair, message));
  assert.equal(opened.length, 701);
  const joined = opened.flatMap(({ packet }) => [...packet.subarray(40, (packet[2] << 8) | packet[3])]);
  assert.deepEqual(Uint8Array.from(joined), payload);
  assert.equal(new Set(opened.map(({ counter }) => counter)).size, 701);
});

test("small packets of one peer go together, and none overtakes another", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  const sizes = [10, 1380, 10, 10, 3, 3, 500, 500, 20, 20, 1380];
  for (const [i, size] of sizes.entries()) bed.toDevice(makePacket({ payload: new Uint8Array(size).fill(i) }));
  bed.outbound.batch();
  const opened = bed.fromNetwork().map((message) => open(keypair, message));
  assert.deepEqual(
    opened.map(({ packet }) => packet[40]),
    sizes.map((_, i) => i),
  );
  assert.deepEqual(
    opened.map(({ counter }) => counter),
    sizes.map((_, i) => i),
  );
});

test("a packet for nobody is dropped, one for a peer without a session goes to main", () => {
  const { bench: bed, keypair, id } = bench();
  using _bed = bed;
  bed.toDevice(makePacket({ family: 6 }));
  bed.keypairs.select(id, undefined);
  const packet = makePacket({ payload: new Uint8Array(77).fill(1) });
  bed.toDevice(packet);
  bed.outbound.batch();
  assert.deepEqual(bed.memory.drops(), { "packet-no-peer": 1 });
  assert.deepEqual(bed.fromNetwork(), []);
  const ring = bed.memory.outboundToMain;
  assert.ok(ring.next());
  assert.deepEqual([ring.kind, ring.first], [FromOutbound.stage, id]);
  assert.deepEqual(bed.memory.bytes.slice(ring.payload, ring.payload + ring.length), packet);
  assert.equal(keypair.sendKey[0], id);
});

test("a peer that takes the place of another is not sent to the other's endpoint", () => {
  const { bench: bed, keypair, id } = bench();
  using _bed = bed;
  bed.peers.setEndpoint(id, encodeEndpoint(bed.remote)); // as before; then nobody's port
  bed.peers.setEndpoint(id, encodeEndpoint(Endpoint.parse("127.0.0.1:9")));
  bed.toDevice(makePacket({}));
  bed.outbound.batch();
  assert.deepEqual(bed.fromNetwork(), []);
  bed.keypairs.remove(keypair);
  bed.peers.remove(id);
  assert.equal(bed.peers.add(), id);
  const successor = bed.addKeypair(id);
  for (let i = 0; i < 3; i++) bed.peers.setEndpoint(id, encodeEndpoint(bed.remote));
  bed.toDevice(makePacket({}));
  bed.outbound.batch();
  assert.equal(bed.fromNetwork().map((message) => open(successor, message)).length, 1);
});

test("a packet that main staged for one peer is never sealed for the next of that number", () => {
  const { bench: bed, keypair, id } = bench();
  using _bed = bed;
  bed.memory.bytes.set(makePacket({}), bed.memory.mainToOutbound.reserve(40));
  bed.memory.mainToOutbound.commit(ToOutbound.seal, id, bed.memory.generation(id));
  bed.keypairs.remove(keypair);
  bed.peers.remove(id);
  assert.equal(bed.peers.add(), id);
  bed.addKeypair(id);
  bed.peers.setEndpoint(id, encodeEndpoint(bed.remote));
  bed.outbound.batch();
  assert.deepEqual(bed.fromNetwork(), []);
  assert.deepEqual(bed.memory.drops(), { "peer-removed": 1 });
});

test("what the network refuses is counted, each message once", () => {
  const { bench: bed, id } = bench();
  using _bed = bed;
  bed.peers.setEndpoint(id, encodeEndpoint(new Endpoint(bed.remote.address, 0))); // EINVAL
  for (let i = 0; i < 5; i++) bed.toDevice(makePacket({ payload: new Uint8Array(8) }));
  bed.outbound.batch();
  assert.deepEqual(bed.memory.drops(), { "send-failed": 5 });
});

test("messages leave from where the peer spoke to; an address that is not ours costs nothing but its wish", () => {
  const { bench: bed, keypair, id } = bench();
  using _bed = bed;
  const { address, port } = bed.remote;
  const localDevice = () => bed.memory.words[(bed.memory.peer(id) + PeerRecord.localDevice) >> 2];
  const ours = { address: IpAddress.parse("127.0.0.7"), device: 1 };
  const foreign = { address: IpAddress.parse("203.0.113.7"), device: 1 };
  for (const [local, source, device] of [
    [ours, "127.0.0.7", 1],
    [foreign, "127.0.0.1", 0],
  ] as const) {
    bed.peers.setEndpoint(id, encodeEndpoint(new Endpoint(address, port, 0, local)));
    bed.toDevice(makePacket({ payload: new Uint8Array(1380 * 3 + 99), isPartial: true }), tso4);
    bed.toDevice(makePacket({ payload: new Uint8Array(9) }));
    bed.outbound.batch();
    const arrived = bed.fromNetworkWithSources();
    assert.deepEqual(new Set(arrived.map(({ from }) => String(from?.address))), new Set([source]));
    assert.equal(arrived.map(({ message }) => open(keypair, message)).length, 5);
    assert.equal(localDevice(), device);
  }
  assert.deepEqual(bed.memory.drops(), {});
});

test("where a device has no checksum offload the failed batch and all later ones leave one by one, and that is said once", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  let attempts = 0;
  // As net/ipv4/udp.c, udp_send_skb, had it before Linux 6.11. Several messages are several entries of the I/O vector.
  using _kernel = refuseCall("sendmsg", (_fd: number, header: number) => {
    const isTrain = bed.word(header + 24) > 1;
    if (isTrain) attempts++;
    return isTrain ? Errno.EIO : 0;
  });
  const payload = Uint8Array.from({ length: 1380 * 10 }, (_, i) => i * 7);
  const counters: number[] = [];
  for (let i = 0; i < 3; i++) {
    bed.toDevice(makePacket({ payload, isPartial: true }), tso4);
    bed.outbound.batch();
    counters.push(...bed.fromNetwork().map((message) => open(keypair, message).counter));
  }
  assert.deepEqual(
    counters,
    Array.from({ length: 30 }, (_, i) => i),
  );
  assert.equal(attempts, 1);
  assert.deepEqual(bed.faults, [{ offload: "UDP_SEGMENT", why: "sendmsg failed with EIO" }]);
  assert.deepEqual(bed.memory.drops(), {});
});

test("datagrams say of congestion what their packets say, DSCP stays inside, and one send is of one kind", () => {
  const { bench: bed, id } = bench();
  using _bed = bed;
  const local = { address: IpAddress.parse("127.0.0.1"), device: 1 };
  const payload = new Uint8Array(100);
  const classes = [0x28, 0x2a, 0x2a, 0x2a, 0x29, 0xbb, 0xb8, 0x02];
  for (const endpoint of [bed.remote, new Endpoint(bed.remote.address, bed.remote.port, 0, local)]) {
    bed.peers.setEndpoint(id, encodeEndpoint(endpoint));
    for (const trafficClass of classes) bed.toDevice(makePacket({ payload, trafficClass, protocol: "udp" }));
    bed.toDevice(makePacket({ payload: new Uint8Array(1380 * 3), trafficClass: 2, isPartial: true }), tso4);
    bed.outbound.batch();
    assert.deepEqual(
      bed.congestionFromNetwork().map(({ ecn }) => ecn),
      [0, 2, 2, 2, 1, 3, 0, 2, 2, 2, 2],
    );
    const localDevice = (bed.memory.peer(id) + PeerRecord.localDevice) >> 2;
    assert.equal(bed.memory.words[localDevice], endpoint.local?.device ?? 0, "nothing was refused for our address");
  }
  assert.deepEqual(bed.memory.drops(), {});
});

test("what main staged speaks of congestion, a keepalive does not", () => {
  const { bench: bed, id } = bench();
  using _bed = bed;
  const ring = bed.memory.mainToOutbound;
  for (const packet of [makePacket({ trafficClass: 3 }), nothing, makePacket({ trafficClass: 0xfc })]) {
    bed.memory.bytes.set(packet, ring.reserve(packet.length));
    ring.commit(ToOutbound.seal, id, bed.memory.generation(id));
  }
  bed.outbound.batch();
  assert.deepEqual(bed.congestionFromNetwork(), [
    { ecn: 3, length: 80 },
    { ecn: 0, length: 32 },
    { ecn: 0, length: 80 },
  ]);
});

test("no nonce is taken beyond the limit", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  const record = bed.memory.findKeypair(keypair.localIndex | 0);
  bed.memory.floats[(record + KeypairRecord.sendCounter) >> 3] = RejectAfterMessages - 2;
  for (let i = 0; i < 4; i++) bed.toDevice(makePacket({ payload: new Uint8Array(8).fill(i) }));
  bed.outbound.batch();
  const counters = bed.fromNetwork().map((message) => open(keypair, message).counter);
  assert.deepEqual(counters, [RejectAfterMessages - 2, RejectAfterMessages - 1]);
  const staged = [];
  while (bed.memory.outboundToMain.next()) {
    staged.push(bed.memory.outboundToMain.kind);
    bed.memory.outboundToMain.release();
  }
  assert.deepEqual(staged, [FromOutbound.freshen, FromOutbound.stage, FromOutbound.stage]);
});

test("a super-packet that reaches the limit is cut off there", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  const record = bed.memory.findKeypair(keypair.localIndex | 0);
  bed.memory.floats[(record + KeypairRecord.sendCounter) >> 3] = RejectAfterMessages - 3;
  bed.toDevice(makePacket({ payload: new Uint8Array(1380 * 5), isPartial: true }), tso4);
  bed.outbound.batch();
  const counters = bed.fromNetwork().map((message) => open(keypair, message).counter);
  assert.deepEqual(counters, [RejectAfterMessages - 3, RejectAfterMessages - 2, RejectAfterMessages - 1]);
  assert.deepEqual(bed.memory.drops(), { "keypair-expired": 2 });
});

test("a keypair is not used past its time, and main hears in time, once a second, that it grows old", () => {
  const { bench: bed, id } = bench();
  using _bed = bed;
  const asked = (at: number) => {
    bed.clock[0] = at;
    bed.toDevice(makePacket({}));
    bed.outbound.batch();
    const ring = bed.memory.outboundToMain;
    const kinds = [];
    while (ring.next()) {
      assert.equal(ring.first, id);
      kinds.push(ring.kind);
      ring.release();
    }
    return { kinds, sent: bed.fromNetwork().length };
  };
  assert.deepEqual(asked(129_999), { kinds: [], sent: 1 });
  assert.deepEqual(asked(130_000), { kinds: [FromOutbound.freshen], sent: 1 });
  assert.deepEqual(asked(130_999), { kinds: [], sent: 1 });
  assert.deepEqual(asked(131_000), { kinds: [FromOutbound.freshen], sent: 1 });
  assert.deepEqual(asked(190_000), { kinds: [FromOutbound.stage], sent: 0 });
});

test("what main staged is sealed here, keepalives are empty, and stamps tell them apart", () => {
  const { bench: bed, keypair, id } = bench();
  using _bed = bed;
  const activity = bed.peers.activity(id);
  activity.unacknowledgedSince = 5;
  const ask = (packet: Uint8Array) => {
    const ring = bed.memory.mainToOutbound;
    bed.memory.bytes.set(packet, ring.reserve(packet.length));
    ring.commit(ToOutbound.seal, id, 0);
    bed.outbound.batch();
    return bed.fromNetwork().map((message) => open(keypair, message).packet);
  };
  assert.deepEqual(ask(nothing), [nothing]);
  assert.deepEqual([activity.sentAt, activity.unansweredSince, activity.unacknowledgedSince], [10_000, 0, 0]);
  const packet = makePacket({ payload: new Uint8Array(8) });
  assert.deepEqual(ask(packet), [packet]);
  assert.equal(activity.unansweredSince, 10_000);
  const short = makePacket({ payload: new Uint8Array(1) });
  ask(makePacket({ payload: new Uint8Array(24).fill(0xee) })); // leaves its bytes in the slot
  assert.deepEqual(ask(short), [Uint8Array.from({ ...short, length: 48 }, (byte) => byte ?? 0)]);
  assert.equal(bed.peers.transfer(id).sentBytes, 32 + 80 + 96 + 80);
});

test("what is to be sealed for a session that has ended becomes a request for a new one", () => {
  const { bench: bed, id } = bench();
  using _bed = bed;
  bed.keypairs.select(id, undefined);
  bed.memory.mainToOutbound.reserve(0);
  bed.memory.mainToOutbound.commit(ToOutbound.seal, id, 0);
  bed.outbound.batch();
  assert.ok(bed.memory.outboundToMain.next());
  assert.equal(bed.memory.outboundToMain.kind, FromOutbound.freshen);
});
