import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, fromHex, toHex } from "../../../src/base/bytes.ts";
import { VpnError } from "../../../src/base/errors.ts";
import { Segmenter } from "../../../src/packet/segmentation.ts";
import { guard, makeKernels } from "../../reference/kernels.ts";
import {
  makePacket,
  makeVirtioHeader,
  type PacketFields,
  superPacketHeader,
  type VirtioFields,
} from "../../reference/packets.ts";
import { slowSegment } from "../../reference/segmentation.ts";
import { kernelSegments } from "./kernel-segments.ts";

const kernels = makeKernels(4);
const bytes = kernels.bytes;
const source = 1_024;
const slots = 100_000;
const all = { tcp4: true, tcp6: true, udp: true, largest: 1420 };

/** All packets, or why there are none. */
function segment(read: Uint8Array, options = all): Uint8Array[] | string {
  const segmenter = new Segmenter(kernels, options);
  bytes.set(read, source);
  const reason = segmenter.begin(source, read.length);
  if (reason !== undefined) {
    assert.equal(segmenter.next(slots, 2048, 1), 0);
    return reason;
  }
  const packets: Uint8Array[] = [];
  while (segmenter.next(slots, 2048, 1) === 1) {
    packets.push(
      bytes.slice(slots, slots + (segmenter.remaining === 0 ? segmenter.lastLength : segmenter.packetLength)),
    );
  }
  assert.equal(packets.length, segmenter.count);
  return packets;
}

for (const { name, read, segments } of kernelSegments) {
  test(`as the kernel does: ${name}`, () => {
    const forwarded = fromHex(read) ?? assert.fail();
    forwarded[10 + (forwarded[10] >> 4 === 4 ? 8 : 7)]--;
    assert.deepEqual(readable(segment(forwarded)), segments);
    assert.deepEqual(slowSegment(forwarded.subarray(10), 24).map(toHex), segments);
  });
}

test("a TCP peer that announces an MSS of 48 makes 1,361 segments, a chunk at a time", () => {
  const fields = { payload: new Uint8Array(1361 * 48 - 5).fill(7), isPartial: true };
  const packet = makePacket(fields);
  const read = concatBytes(superPacketHeader(fields, 48), packet);
  const expected = slowSegment(packet, 48);
  const segmenter = new Segmenter(kernels, all);
  bytes.set(read, source);
  assert.equal(segmenter.begin(source, read.length), undefined);
  assert.equal(segmenter.count, 1361);
  const chunks: number[] = [];
  let done = 0;
  for (let count = segmenter.next(slots, 1424, 100); count > 0; count = segmenter.next(slots, 1424, 100)) {
    chunks.push(count);
    for (let i = 0; i < count; i++, done++) {
      const at = slots + i * 1424;
      assert.deepEqual(bytes.slice(at, at + expected[done].length), expected[done]);
    }
  }
  assert.equal(done, 1361);
  assert.deepEqual(chunks, [...new Array(13).fill(100), 61]);
});

test("a packet that is not to be cut goes out as it is", () => {
  const packet = makePacket({ payload: Uint8Array.of(1, 2, 3) });
  bytes.fill(guard, slots, slots + 100);
  assert.deepEqual(segment(concatBytes(makeVirtioHeader({}), packet)), [packet]);
  assert.equal(packet.length, 43);
  assert.deepEqual(bytes.slice(slots + 43, slots + 50), Uint8Array.of(0, 0, 0, 0, 0, guard, guard));
});

test("a checksum that the kernel began is completed", () => {
  for (const family of [4, 6] as const) {
    for (const protocol of ["tcp", "udp"] as const) {
      const fields = { family, protocol, payload: Uint8Array.of(1, 2, 3) };
      const header = { ...superFields(fields), gsoType: 0, gsoSize: 0 };
      const read = concatBytes(makeVirtioHeader(header), makePacket({ ...fields, isPartial: true }));
      assert.deepEqual(segment(read), [makePacket(fields)]);
    }
  }
});

test("a UDP checksum of zero is sent as 0xffff, cut or whole", () => {
  const fields: Partial<PacketFields> = { protocol: "udp", payload: new Uint8Array(2) };
  const payload = makePacket(fields).slice(26, 28);
  const packet = makePacket({ ...fields, payload });
  assert.equal(toHex(packet.slice(26, 28)), "ffff");
  const partial = makePacket({ ...fields, payload, isPartial: true });
  const whole = makeVirtioHeader({ ...superFields(fields), gsoType: 0, gsoSize: 0 });
  assert.deepEqual(segment(concatBytes(whole, partial)), [packet]);
  assert.deepEqual(segment(concatBytes(superPacketHeader(fields, 100), partial)), [packet]);
});

test("a TCP checksum of zero is left at that when cutting, as the kernel does", () => {
  const fields: Partial<PacketFields> = { payload: new Uint8Array(2) };
  const payload = makePacket(fields).slice(36, 38);
  const partial = makePacket({ ...fields, payload, isPartial: true });
  const expected = makePacket({ ...fields, payload });
  assert.equal(toHex(expected.slice(36, 38)), "0000");
  assert.deepEqual(segment(concatBytes(superPacketHeader(fields, 100), partial)), [expected]);
});

test("extension headers before TCP are carried along", () => {
  const fields: Partial<PacketFields> = { family: 6, payload: new Uint8Array(100), isPartial: true };
  const plain = makePacket(fields);
  const extensions = Uint8Array.from([60, 0, 1, 4, 0, 0, 0, 0, 6, 1, 1, 12, ...new Array(12).fill(0)]);
  const packet = concatBytes(plain.slice(0, 40), extensions, plain.slice(40));
  packet[5] += 24;
  packet[6] = 0;
  const header = makeVirtioHeader({ ...superFields(fields), checksumStart: 64 });
  const cut = segment(concatBytes(header, packet));
  const expected = slowSegment(plain, 60).map((part) => {
    const long = concatBytes(part.slice(0, 40), extensions, part.slice(40));
    long[5] += 24;
    long[6] = 0;
    return long;
  });
  assert.deepEqual(readable(cut), expected.map(toHex));
});

const tcp: Partial<PacketFields> = { payload: new Uint8Array(100), isPartial: true };
const tcp6: Partial<PacketFields> = { ...tcp, family: 6 };
const udp: Partial<PacketFields> = { ...tcp, protocol: "udp" };

/** The virtio header of a super-packet with 60 bytes to each segment. */
function superFields(fields: Partial<PacketFields>): VirtioFields {
  const [flags, gsoType, headerLength, , , , checksumStart, , checksumOffset] = superPacketHeader(fields, 60);
  return { flags, gsoType, headerLength, gsoSize: 60, checksumStart, checksumOffset };
}

interface Refusal {
  readonly name: string;
  readonly reason: string;
  readonly fields?: Partial<PacketFields>;
  readonly virtio?: Partial<VirtioFields>;
  readonly patch?: readonly [at: number, value: number];
  readonly cutTo?: number;
  readonly options?: Partial<typeof all>;
}

const refusals: readonly Refusal[] = [
  { name: "nothing", cutTo: 0, reason: "packet-malformed" },
  { name: "half a virtio header", cutTo: 9, reason: "packet-malformed" },
  { name: "half an IPv4 header", cutTo: 29, reason: "packet-malformed" },
  { name: "half an IPv6 header", fields: tcp6, cutTo: 49, reason: "packet-malformed" },
  { name: "IP version 5", patch: [0, 0x55], reason: "packet-malformed" },
  { name: "an IPv4 header of 16 bytes", patch: [0, 0x44], reason: "packet-malformed" },
  {
    name: "an IPv4 header longer than the packet",
    fields: { payload: new Uint8Array() },
    patch: [0, 0x4f],
    reason: "packet-malformed",
  },
  { name: "an IPv4 length of one more", patch: [3, 141], reason: "packet-malformed" },
  { name: "an IPv4 length of one less", patch: [3, 139], reason: "packet-malformed" },
  { name: "an IPv6 length of one more", fields: tcp6, patch: [5, 121], reason: "packet-malformed" },
  { name: "gso_size 0", virtio: { gsoSize: 0 }, reason: "offload-malformed" },
  { name: "UDP fragmentation offload", fields: udp, virtio: { gsoType: 3 }, reason: "offload-malformed" },
  { name: "an unknown type", virtio: { gsoType: 9 }, reason: "offload-malformed" },
  { name: "ECN alone", virtio: { gsoType: 0x80 }, reason: "offload-malformed" },
  { name: "ECN with UDP", fields: udp, virtio: { gsoType: 0x85 }, reason: "offload-malformed" },
  { name: "TCPV4 for IPv6", fields: tcp6, virtio: { gsoType: 1 }, reason: "offload-malformed" },
  { name: "TCPV6 for IPv4", virtio: { gsoType: 4 }, reason: "offload-malformed" },
  { name: "TCP type for UDP", fields: udp, virtio: { gsoType: 1 }, reason: "offload-malformed" },
  { name: "UDP type for TCP", virtio: { gsoType: 5 }, reason: "offload-malformed" },
  { name: "TSO4 not asked for", options: { tcp4: false }, reason: "offload-malformed" },
  { name: "TSO6 not asked for", fields: tcp6, options: { tcp6: false }, reason: "offload-malformed" },
  { name: "USO not asked for", fields: udp, options: { udp: false }, reason: "offload-malformed" },
  { name: "a fragment", patch: [6, 0x20], reason: "offload-malformed" },
  { name: "a later fragment", patch: [7, 1], reason: "offload-malformed" },
  { name: "an IPv6 fragment header", fields: tcp6, patch: [6, 44], reason: "offload-malformed" },
  { name: "an extension header past the end", fields: tcp6, patch: [6, 0], reason: "offload-malformed" },
  { name: "a TCP header of 16 bytes", patch: [32, 0x40], reason: "offload-malformed" },
  {
    name: "a TCP header past the end",
    fields: { payload: new Uint8Array(4) },
    patch: [32, 0xf0],
    reason: "offload-malformed",
  },
  { name: "checksum start elsewhere", virtio: { checksumStart: 24 }, reason: "offload-malformed" },
  { name: "checksum field elsewhere", virtio: { checksumOffset: 6 }, reason: "offload-malformed" },
  { name: "checksum field past the end", virtio: { gsoType: 0, checksumOffset: 119 }, reason: "offload-malformed" },
  { name: "checksum start past the end", virtio: { gsoType: 0, checksumStart: 65_535 }, reason: "offload-malformed" },
  { name: "checksum within the IP header", virtio: { gsoType: 0, checksumStart: 19 }, reason: "offload-malformed" },
  {
    name: "a packet larger than a slot",
    virtio: { gsoType: 0 },
    options: { largest: 139 },
    reason: "packet-too-large",
  },
  { name: "segments larger than a slot", options: { largest: 99 }, reason: "packet-too-large" },
];

for (const { name, reason, fields = tcp, virtio, patch, cutTo, options } of refusals) {
  test(`refused: ${name}`, () => {
    const packet = makePacket(fields);
    const untouched = concatBytes(makeVirtioHeader(superFields(fields)), packet);
    assert.notEqual(typeof segment(untouched), "string");
    if (patch !== undefined) packet[patch[0]] = patch[1];
    const read = concatBytes(makeVirtioHeader({ ...superFields(fields), ...virtio }), packet);
    assert.equal(segment(read.slice(0, cutTo), { ...all, ...options }), reason);
  });
}

test("the last place a checksum may stand", () => {
  const virtio = { ...superFields(tcp), gsoType: 0, checksumOffset: 118 };
  assert.equal(segment(concatBytes(makeVirtioHeader(virtio), makePacket(tcp))).length, 1);
});

test("a stride that cannot take a packet and its padding is a programmer's error", () => {
  const segmenter = new Segmenter(kernels, all);
  assert.equal(segmenter.next(slots, 0, 1), 0);
  const read = concatBytes(superPacketHeader(tcp, 57), makePacket(tcp));
  bytes.set(read, source);
  assert.equal(segmenter.begin(source, read.length), undefined);
  assert.throws(() => segmenter.next(slots, 111, 1), VpnError);
  assert.equal(segmenter.next(slots, 112, 1), 1);
});

function readable(packets: Uint8Array[] | string): string[] | string {
  return typeof packets === "string" ? packets : packets.map(toHex);
}
