import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, Endpoint, IpAddress } from "../../../src/base/address.ts";
import { concatBytes } from "../../../src/base/bytes.ts";
import { native } from "../../../src/crypto/native.ts";
import { decodeEndpoint, encodeEndpoint } from "../../../src/dataplane/endpoint-record.ts";
import { FromInbound, senderRoom } from "../../../src/dataplane/inbound.ts";
import { PeerRecord } from "../../../src/dataplane/shared-memory.ts";
import { Errno } from "../../../src/os/system-error.ts";
import { RejectAfterMessages } from "../../../src/wireguard/constants.ts";
import { Keypair } from "../../../src/wireguard/keypair.ts";
import { Data, readUint32, writeCounter, writeUint32 } from "../../../src/wireguard/messages.ts";
import { slowChecksum } from "../../reference/checksum.ts";
import { makePacket } from "../../reference/packets.ts";
import { refuseCall } from "./refused-call.ts";
import { nonceOf, Workbench } from "./workbench.ts";

const nothing = new Uint8Array(0);
const plain = new Uint8Array(10);

function bench(isInitiator = true): { bench: Workbench; keypair: Keypair; id: number } {
  const bench = new Workbench();
  const id = bench.peers.add();
  bench.peers.setEndpoint(id, encodeEndpoint(bench.remote));
  bench.allowedIps.insert(Cidr.parse("10.8.0.1/32"), id);
  return { bench, keypair: bench.addKeypair(id, { isInitiator }), id };
}

/** Seals as the peer would. */
function seal(keypair: Keypair, counter: number, packet: Uint8Array, index = keypair.localIndex): Uint8Array {
  const header = new Uint8Array(16);
  writeUint32(header, 0, Data.type);
  writeUint32(header, Data.receiver, index);
  writeCounter(header, Data.counter, counter);
  return concatBytes(header, native.seal(keypair.receiveKey, nonceOf(counter), packet, nothing));
}

function padded(packet: Uint8Array): Uint8Array {
  return concatBytes(packet, new Uint8Array((16 - (packet.length % 16)) % 16));
}

test("what a peer sealed reaches the device, cut to its own length", () => {
  const { bench: bed, keypair, id } = bench();
  using _bed = bed;
  const sizes = [0, 1, 7, 15, 16, 17, 1363, 1380];
  const packets = sizes.map((size, i) =>
    makePacket({ protocol: "udp", payload: new Uint8Array(size).fill(i), sourcePort: i }),
  );
  for (const [i, packet] of packets.entries()) bed.toNetwork(seal(keypair, i, padded(packet)));
  bed.receive();
  assert.deepEqual(
    bed.fromDevice(),
    packets.map((packet) => concatBytes(plain, packet)),
  );
  assert.deepEqual(bed.memory.drops(), {});
  assert.equal(
    bed.peers.transfer(id).receivedBytes,
    packets.reduce((sum, packet) => sum + padded(packet).length + 32, 0),
  );
});

test("packets of any length, padded or not, survive their neighbours in one receive", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  for (let length = 28; length < 100; length++) {
    bed.toNetwork(
      seal(keypair, length, makePacket({ protocol: "udp", payload: new Uint8Array(length - 28), sourcePort: length })),
    );
  }
  bed.receive();
  assert.equal(bed.fromDevice().length, 72);
  assert.deepEqual(bed.memory.drops(), {});
});

test("segments of one connection are written as one super-packet", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  const payload = Uint8Array.from({ length: 10 * 1380 }, (_, i) => i);
  for (let i = 0; i < 10; i++) {
    const packet = makePacket({ payload: payload.subarray(i * 1380, (i + 1) * 1380), sequence: 1 + i * 1380 });
    bed.toNetwork(seal(keypair, i, packet));
  }
  bed.receive();
  const written = bed.fromDevice();
  assert.equal(written.length, 1);
  assert.deepEqual(written[0].subarray(10 + 40), payload);
  assert.deepEqual([written[0][0] & 1, written[0][1]], [1, 1], "NEEDS_CSUM and TCPv4");
});

test("every kind of bad message is dropped under its own name and reaches neither the device nor main", () => {
  const { bench: bed, keypair, id } = bench();
  using _bed = bed;
  const good = padded(makePacket({ protocol: "udp" }));
  const forged = seal(keypair, 3, good);
  forged[40] ^= 1;
  const shortened = good.slice();
  shortened[3] = 200; // a total length beyond what was sealed
  const stranger = padded(makePacket({ protocol: "udp", source: 9 }));
  const messages: [string, Uint8Array][] = [
    ["message-too-short", Uint8Array.of(4, 0, 0)],
    ["message-too-short", nothing],
    ["message-unknown-type", new Uint8Array(32)],
    ["message-unknown-type", Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 4 : i === 3 ? 1 : 0))],
    ["message-wrong-length", Uint8Array.from({ length: 31 }, (_, i) => (i === 0 ? 4 : 0))],
    ["message-wrong-length", Uint8Array.from({ length: 149 }, (_, i) => (i === 0 ? 1 : 0))],
    ["index-unknown", seal(keypair, 0, good, 77)],
    ["counter-too-large", seal(keypair, RejectAfterMessages, good)],
    ["message-undecryptable", forged],
    ["packet-malformed", seal(keypair, 10, shortened)],
    ["packet-malformed", seal(keypair, 11, new Uint8Array(16).fill(0x10))],
    ["packet-wrong-source", seal(keypair, 12, stranger)],
    ["packet-wrong-source", seal(keypair, 13, padded(makePacket({ protocol: "udp", family: 6 })))],
  ];
  for (const [, message] of messages) bed.toNetwork(message);
  bed.receive();
  const expected: Record<string, number> = {};
  for (const [reason] of messages) expected[reason] = (expected[reason] ?? 0) + 1;
  assert.deepEqual(Object.entries(bed.memory.drops()).sort(), Object.entries(expected).sort());
  assert.deepEqual(bed.fromDevice(), []);
  assert.equal(bed.memory.inboundToMain.next(), false);
  assert.equal(bed.memory.handshakes.next(), false);
  assert.ok(bed.peers.transfer(id).receivedBytes > 0, "messages that were authentic count as received");
});

test("what routers marked on the datagrams is on the packets, and ends a super-packet; what cannot carry it is dropped", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  const payload = new Uint8Array(100);
  const marks = [0x02, 0x02, 0x03, 0x03, 0xb8, 0x02];
  for (const [i, mark] of marks.entries()) {
    const packet = makePacket({ payload, sequence: 1 + 100 * i, trafficClass: 0x28 | 2 });
    bed.toNetwork(seal(keypair, i, padded(packet)), mark);
  }
  bed.toNetwork(seal(keypair, 7, padded(makePacket({ payload }))), 3);
  bed.toNetwork(seal(keypair, 8, padded(makePacket({ payload, trafficClass: 0x28 }))), 1);
  bed.receive();
  const written = bed.fromDevice();
  assert.deepEqual(
    written.map((packet) => [packet[11], (packet.length - 50) / 100]),
    [
      [0x2a, 2],
      [0x2b, 2],
      [0x2a, 2],
      [0x28, 1],
    ],
  );
  for (const packet of written) assert.equal(slowChecksum(packet.subarray(10, 30)), 0);
  assert.deepEqual(bed.memory.drops(), { "packet-not-ecn-capable": 1 });
});

for (const [kind, offload, fields] of [
  [1, "TSO over IPv4", {}],
  [4, "TSO over IPv6", { family: 6 }],
  [5, "USO", { protocol: "udp" }],
] as const) {
  test(`super-packets that the device refuses arrive one by one, and no more of them are made: ${offload}`, () => {
    const { bench: bed, keypair, id } = bench();
    using _bed = bed;
    bed.allowedIps.insert(Cidr.parse("fd8f::1/128"), id);
    let refused = 0;
    using _kernel = refuseCall("write", (_fd: number, at: number) => {
      const isSuper = ((bed.word(at) >> 8) & 255) === kind;
      if (isSuper) refused++;
      return isSuper ? Errno.EINVAL : 0;
    });
    const packets = Array.from({ length: 8 }, (_, i) => {
      const payload = new Uint8Array(i % 4 === 3 ? 99 : 100).fill(i); // a shorter one ends a super-packet
      return makePacket({ ...fields, payload, sequence: 1 + 100 * i - (i >> 2), identification: i });
    });
    for (const [i, packet] of packets.entries()) bed.toNetwork(seal(keypair, i, padded(packet)));
    bed.receive();
    const written = bed.fromDevice();
    assert.deepEqual(
      written,
      packets.map((packet) => concatBytes(plain, packet)),
    );
    assert.equal(refused, 1);
    assert.deepEqual(bed.faults, [{ offload, why: "write failed with EINVAL" }]);
    assert.deepEqual(bed.memory.drops(), {});
  });
}

test("a device that takes nothing loses packets, not its offloads", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  for (const errno of [Errno.EIO, Errno.EINVAL]) {
    using _kernel = refuseCall("write", () => errno);
    for (let i = 0; i < 3; i++) {
      const packet = makePacket({ payload: new Uint8Array(100), sequence: 1 + 100 * i });
      bed.toNetwork(seal(keypair, errno * 10 + i, padded(packet)));
    }
    bed.receive();
  }
  assert.deepEqual(bed.faults, []);
  assert.deepEqual(bed.memory.drops(), { "tun-write-failed": 1 + 3 });
});

test("a message counts once, in whatever order it comes", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  const packet = padded(makePacket({ protocol: "udp" }));
  for (const counter of [5, 0, 5, 3, 0, 9000, 3, 800, 9000]) bed.toNetwork(seal(keypair, counter, packet));
  bed.receive();
  // 800 is more than 8,192 - 32 behind 9,000: too old to know
  assert.deepEqual({ ...bed.memory.drops() }, { "message-replayed": 5 });
});

test("a keypair ends at its time, on the millisecond", () => {
  const { bench: bed, keypair } = bench();
  using _bed = bed;
  const packet = padded(makePacket({ protocol: "udp" }));
  bed.clock[0] = 189_999;
  bed.toNetwork(seal(keypair, 0, packet));
  bed.receive();
  bed.clock[0] = 190_000;
  bed.toNetwork(seal(keypair, 1, packet));
  bed.receive();
  assert.deepEqual({ ...bed.memory.drops() }, { "keypair-expired": 1 });
});

test("a device without virtio headers gives and takes bare packets", () => {
  using bed = new Workbench(1420, { headerless: 10 });
  const id = bed.peers.add();
  bed.peers.setEndpoint(id, encodeEndpoint(bed.remote));
  for (const inner of ["10.8.0.1/32", "10.8.0.2/32"]) bed.allowedIps.insert(Cidr.parse(inner), id);
  const keypair = bed.addKeypair(id);
  const packet = makePacket({ payload: new Uint8Array(41) });
  bed.toNetwork(seal(keypair, 0, padded(packet)));
  bed.receive();
  assert.deepEqual(bed.fromDevice(), [packet]);
  bed.toDevice(packet, nothing);
  bed.outbound.batch();
  const [message] = bed.fromNetwork();
  const opened = native.open(keypair.sendKey, nonceOf(0), message.subarray(16), nothing);
  assert.deepEqual(opened?.subarray(0, packet.length), packet);
  assert.deepEqual(bed.memory.drops(), {});
});

/** What main is asked, as [kind, first]. */
function requests(bed: Workbench): [number, number][] {
  const ring = bed.memory.inboundToMain;
  const asked: [number, number][] = [];
  while (ring.next()) {
    asked.push([ring.kind, ring.first]);
    ring.release();
  }
  return asked;
}

test("main hears of the first message on a responder's keypair, once", () => {
  const { bench: bed, keypair } = bench(false);
  using _bed = bed;
  bed.toNetwork(seal(keypair, 0, nothing));
  bed.toNetwork(seal(keypair, 1, nothing));
  bed.receive();
  assert.deepEqual(requests(bed), [[FromInbound.confirm, keypair.localIndex | 0]]);
});

test("main hears that a peer moved, but not from a forgery", () => {
  const { bench: bed, keypair, id } = bench();
  using _bed = bed;
  bed.peers.setEndpoint(id, encodeEndpoint(Endpoint.parse(`9.9.9.9:${bed.remote.port}`)));
  const forged = seal(keypair, 0, nothing);
  forged[20] ^= 1;
  bed.toNetwork(forged);
  bed.receive();
  assert.deepEqual(requests(bed), []);
  bed.toNetwork(seal(keypair, 1, nothing));
  bed.receive();
  const ring = bed.memory.inboundToMain;
  assert.ok(ring.next());
  assert.deepEqual([ring.kind, ring.first], [FromInbound.roam, id]);
  assert.deepEqual(bed.memory.bytes.slice(ring.payload, ring.payload + ring.length), encodeEndpoint(bed.remote));
  // The answer to that very message finds the way, before main has heard of it.
  bed.allowedIps.insert(Cidr.parse("10.8.0.2/32"), id);
  bed.toDevice(makePacket({}));
  bed.outbound.batch();
  assert.equal(bed.fromNetwork().length, 1);
});

test("main hears by which address of ours a peer spoke to us, and how long it stays with that", () => {
  using bed = new Workbench(1420, { localAddresses: true });
  const id = bed.peers.add();
  const keypair = bed.addKeypair(id);
  const { address, port } = bed.remote;
  const roamed: string[] = [];
  const receive = (counter: number) => {
    bed.toNetwork(seal(keypair, counter, nothing));
    bed.receive();
    for (const ring = bed.memory.inboundToMain; ring.next(); ring.release()) {
      const { local } = decodeEndpoint(bed.memory.bytes.slice(ring.payload, ring.payload + ring.length)) ?? {};
      roamed.push(`${local?.address} over ${local?.device}`);
    }
  };
  receive(0);
  receive(1);
  assert.deepEqual(roamed, ["127.0.0.1 over 1"]);
  const changed = [
    new Endpoint(address, port),
    new Endpoint(address, port, 0, { address, device: 2 }),
    new Endpoint(address, port, 0, { address: IpAddress.parse("127.0.0.2"), device: 1 }),
  ];
  for (const [i, endpoint] of changed.entries()) {
    bed.peers.setEndpoint(id, encodeEndpoint(endpoint));
    receive(2 * i + 2);
    receive(2 * i + 3);
    assert.equal(roamed.length, i + 2);
  }
});

/** The slot of the keypair that a peer's packets are sealed with, plus 1. */
const sending = (bed: Workbench, id: number) =>
  bed.memory.words[(bed.memory.peer(id) + PeerRecord.sendingKeypair) >> 2];

test("the answer to the first message on a new keypair is sealed with it, before main has heard of it", () => {
  const { bench: bed, id } = bench();
  using _bed = bed;
  bed.allowedIps.insert(Cidr.parse("10.8.0.2/32"), id);
  const keys = { remoteIndex: 77, sendKey: new Uint8Array(32).fill(3), receiveKey: new Uint8Array(32).fill(4) };
  const next = new Keypair({ keys, localIndex: 78, isInitiator: false, createdAt: bed.clock[0] });
  bed.keypairs.add(id, next);
  next.receiveKey = new Uint8Array(32).fill(4); // the table has erased it; the test is the peer
  bed.toNetwork(seal(next, 0, nothing));
  bed.receive();
  bed.toDevice(makePacket({}));
  bed.outbound.batch();
  const [answer] = bed.fromNetwork();
  assert.equal(readUint32(answer, Data.receiver), 77);
  bed.keypairs.remove(next);
  assert.equal(sending(bed, id), 0, "main takes it back, whoever selected it");
});

test("a keypair that main has passed over is not sealed with, though its first message comes late", () => {
  const { bench: bed, id } = bench(false); // the workbench has selected it
  using _bed = bed;
  const keys = { remoteIndex: 77, sendKey: new Uint8Array(32).fill(3), receiveKey: new Uint8Array(32).fill(4) };
  const next = new Keypair({ keys, localIndex: 78, isInitiator: false, createdAt: bed.clock[0] });
  bed.keypairs.add(id, next);
  next.receiveKey = new Uint8Array(32).fill(4);
  const newest = bed.addKeypair(id, { localIndex: 79 });
  const selected = sending(bed, id);
  bed.toNetwork(seal(next, 0, nothing));
  bed.receive();
  assert.equal(sending(bed, id), selected);
  assert.ok(bed.memory.findKeypair(newest.localIndex) >= 0);
});

test("the initiator asks for a new handshake on receiving at 165 seconds, the responder never", () => {
  for (const isInitiator of [true, false]) {
    const { bench: bed, keypair, id } = bench(isInitiator);
    using _bed = bed;
    bed.toNetwork(seal(keypair, 0, nothing));
    bed.receive();
    requests(bed);
    for (const [at, counter] of [
      [174_999, 1],
      [175_000, 2],
      [175_500, 3],
    ]) {
      bed.clock[0] = at;
      bed.toNetwork(seal(keypair, counter, nothing));
      bed.receive();
    }
    assert.deepEqual(requests(bed), isInitiator ? [[FromInbound.freshen, id]] : []);
  }
});

test("handshake messages go to main with their sender, until their ring is full, and crowd nothing else out", () => {
  const { bench: bed, keypair } = bench(false);
  using _bed = bed;
  const initiation = Uint8Array.from({ length: 148 }, (_, i) => (i === 0 ? 1 : i < 4 ? 0 : i));
  const from = encodeEndpoint(bed.remote);
  bed.toNetwork(initiation);
  bed.receive();
  const ring = bed.memory.handshakes;
  assert.ok(ring.next());
  assert.deepEqual(bed.memory.bytes.slice(ring.payload, ring.payload + from.length), from);
  const message = bed.memory.bytes.slice(ring.payload + senderRoom, ring.payload + ring.length);
  assert.deepEqual(message, initiation);
  ring.release();
  for (let i = 0; i < 30; i++) {
    for (let k = 0; k < 100; k++) bed.toNetwork(initiation);
    bed.receive();
  }
  bed.toNetwork(seal(keypair, 0, nothing));
  bed.receive();
  assert.deepEqual(requests(bed), [[FromInbound.confirm, keypair.localIndex | 0]]);
  let taken = 0;
  while (ring.next()) {
    taken++;
    ring.release();
  }
  assert.ok(taken > 1000 && taken < 3000);
  assert.deepEqual({ ...bed.memory.drops() }, { "handshake-queue-full": 3000 - taken });
});
