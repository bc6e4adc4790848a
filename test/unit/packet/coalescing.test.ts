import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, fromHex, toHex } from "../../../src/base/bytes.ts";
import { VpnError } from "../../../src/base/errors.ts";
import { Coalescer } from "../../../src/packet/coalescing.ts";
import { slowCoalesce } from "../../reference/coalescing.ts";
import { makeKernels } from "../../reference/kernels.ts";
import { makePacket, type PacketFields, repairChecksums } from "../../reference/packets.ts";
import { kernelSegments } from "./kernel-segments.ts";

const kernels = makeKernels(3);
const bytes = kernels.bytes;
const held = 1_024;
const scratch = 100_000;
const all = { tcp4: true, tcp6: true, udp: true };

/** What one batch of packets is written as, in the words of the twin as well. */
function coalesce(packets: readonly Uint8Array[]): Uint8Array[] {
  const coalescer = new Coalescer(kernels, held, all);
  const written: Uint8Array[] = [];
  const finish = (): void => {
    const length = coalescer.finish();
    if (length > 0) written.push(bytes.slice(held - 10, held - 10 + length));
  };
  for (const packet of packets) {
    bytes.set(packet, scratch);
    if (coalescer.add(scratch, packet.length)) continue;
    finish();
    assert.equal(coalescer.add(scratch, packet.length), true);
  }
  finish();
  assert.deepEqual(written, slowCoalesce(packets, all));
  return written;
}

for (const { name, read, segments } of kernelSegments) {
  // CWR of the first segment is the one thing that is not put back: a packet with it travels alone.
  const isEcn = name.includes("TCP");
  test(`what the kernel cut is put together: ${name}`, () => {
    const packets = segments.map((segment) => fromHex(segment) ?? assert.fail());
    if (isEcn) packets.shift();
    const [whole, ...others] = coalesce(packets);
    assert.equal(others.length, 0);
    if (isEcn) return;
    const expected = fromHex(read) ?? assert.fail();
    expected[10 + (expected[10] >> 4 === 4 ? 8 : 7)]--;
    if (expected[10] >> 4 === 4) expected[20]++; // what RFC 1624 makes of the header's checksum then
    assert.equal(toHex(whole), toHex(expected));
  });
}

const size = 100;
const fields: Partial<PacketFields> = { payload: new Uint8Array(size).fill(1) };

/** Three packets in a row, the second of them changed. */
function withSecond(change: Partial<PacketFields>, base: Partial<PacketFields> = fields): number[] {
  const packets = [0, 1, 2].map((i) => {
    const flow = { ...base, sequence: 1 + i * size, identification: 7 + i };
    return makePacket(i === 1 ? { ...flow, ...change } : flow);
  });
  return coalesce(packets).map(countPackets);
}

/** How many packets a super-packet of these tests holds. */
function countPackets(written: Uint8Array): number {
  const headers = written[2] | (written[3] << 8);
  const gsoSize = written[4] | (written[5] << 8);
  return written[1] === 0 ? 1 : Math.ceil((written.length - 10 - headers) / gsoSize);
}

const runs: readonly [string, Partial<PacketFields>, number[]][] = [
  ["no difference", {}, [3]],
  ["PSH", { flags: 0x18 }, [2, 1]],
  ["FIN", { flags: 0x11 }, [2, 1]],
  ["SYN", { flags: 0x12 }, [1, 1, 1]],
  ["RST", { flags: 0x14 }, [1, 1, 1]],
  ["URG", { flags: 0x30 }, [1, 1, 1]],
  ["ECE", { flags: 0x50 }, [1, 1, 1]],
  ["CWR", { flags: 0x90 }, [1, 1, 1]],
  ["no ACK", { flags: 0 }, [1, 1, 1]],
  ["another acknowledgement", { acknowledgement: 2 }, [1, 1, 1]],
  ["another window", { window: 2 }, [1, 1, 1]],
  ["another port", { sourcePort: 2 }, [1, 1, 1]],
  ["another address", { source: 77 }, [1, 1, 1]],
  ["another TTL", { timeToLive: 63 }, [1, 1, 1]],
  ["another type of service", { trafficClass: 3 }, [1, 1, 1]],
  ["no DF", { dontFragment: false }, [1, 1, 1]],
  ["options", { options: Uint8Array.of(1, 1, 1, 1) }, [1, 1, 1]],
  ["other options", { options: Uint8Array.of(1, 1, 1, 0) }, [1, 1, 1]],
  ["a gap", { sequence: 1000 }, [1, 1, 1]],
  ["a shorter payload", { payload: new Uint8Array(99) }, [2, 1]],
  ["a longer payload", { payload: new Uint8Array(101) }, [1, 1, 1]],
  ["no payload", { payload: new Uint8Array() }, [1, 1, 1]],
  ["any identification under DF", { identification: 999 }, [3]],
];
const withOptions = { ...fields, options: Uint8Array.of(1, 1, 1, 1) };
for (const [name, change, expected] of runs) {
  test(`TCP, the second of three packets with ${name}`, () => assert.deepEqual(withSecond(change), expected));
  if (name === "options") continue; // which these have all
  test(`TCP with options, the second of three packets with ${name}`, () => {
    assert.deepEqual(withSecond(change, withOptions), expected);
  });
}

test("without DF the identification must count up", () => {
  const base = { ...fields, dontFragment: false };
  assert.deepEqual(withSecond({}, base), [3]);
  assert.deepEqual(withSecond({ identification: 9 }, base), [1, 1, 1]);
});

test("IPv6: another flow label, hop limit or class ends a run", () => {
  const base: Partial<PacketFields> = { ...fields, family: 6 };
  assert.deepEqual(withSecond({}, base), [3]);
  assert.deepEqual(withSecond({ flowLabel: 1 }, base), [1, 1, 1]);
  assert.deepEqual(withSecond({ timeToLive: 1 }, base), [1, 1, 1]);
  assert.deepEqual(withSecond({ trafficClass: 1 }, base), [1, 1, 1]);
  assert.deepEqual(withSecond({ source: 77 }, base), [1, 1, 1]);
});

test("a wrong checksum is not merged, nor repaired", () => {
  for (const at of [10, 36, 139]) {
    const packets = [0, 1, 2].map((i) => makePacket({ ...fields, sequence: 1 + i * size }));
    packets[1][at] ^= 0x40;
    const written = coalesce(packets);
    assert.deepEqual(written.map(countPackets), [1, 1, 1]);
    assert.deepEqual(written[1].slice(10), packets[1]);
  }
});

const udp: Partial<PacketFields> = { ...fields, protocol: "udp" };
const oddities: readonly [name: string, base: Partial<PacketFields>, at: number, value: number, step: number][] = [
  ["a reserved TCP bit", fields, 32, 0x51, size],
  ["a TCP header of 16 bytes", fields, 32, 0x40, size + 4],
  ["more fragments", fields, 6, 0x60, size],
  ["a fragment offset", fields, 7, 1, size],
  ["the reserved IPv4 bit", fields, 6, 0xc0, size],
  ["an IPv4 length of one more", fields, 3, 141, size],
  ["an IPv6 length of one more", { ...fields, family: 6 }, 5, 121, size],
  ["a UDP length of one more", udp, 25, 109, size],
  ["a UDP length of one less", { ...udp, family: 6 }, 45, 107, size],
];
for (const [name, base, at, value, step] of oddities) {
  test(`packets with right checksums travel alone: ${name}`, () => {
    const packets = [0, 1, 2].map((i) => makePacket({ ...base, sequence: 1 + i * step }));
    for (const packet of packets) {
      packet[at] = value;
      repairChecksums(packet);
    }
    assert.deepEqual(coalesce(packets).map(countPackets), [1, 1, 1]);
  });
}

test("UDP without a checksum travels alone", () => {
  const payload = makePacket({ protocol: "udp", payload: new Uint8Array(2) }).slice(26, 28);
  const packet = makePacket({ protocol: "udp", payload }); // which has the other zero, 0xffff, for its checksum
  assert.equal(coalesce([packet, packet]).length, 1);
  packet.fill(0, 26, 28);
  assert.equal(coalesce([packet, packet]).length, 2);
});

test("IPv4 options, fragments and IPv6 extension headers travel alone", () => {
  const packet = makePacket(fields);
  const withOptions = concatBytes(packet.slice(0, 20), Uint8Array.of(1, 1, 1, 1), packet.slice(20));
  withOptions[0] = 0x46;
  withOptions[3] += 4;
  const fragment = packet.slice();
  fragment[6] = 0x20;
  const extended = makePacket({ ...fields, family: 6 });
  extended[6] = 60;
  for (const odd of [withOptions, fragment, extended]) {
    assert.deepEqual(
      coalesce([odd, odd]).map((written) => toHex(written)),
      [odd, odd].map((packet) => "00".repeat(10) + toHex(packet)),
    );
  }
});

test("nothing past a short packet is read", () => {
  const coalescer = new Coalescer(kernels, held, all);
  for (const whole of [makePacket(fields), makePacket({ ...fields, family: 6, protocol: "udp" })]) {
    for (let length = 1; length < 60; length++) {
      const packet = whole.slice(0, length);
      packet[packet[0] === 0x45 ? 3 : 5] = packet[0] === 0x45 ? length : length - 40;
      const end = bytes.length - length; // a read past the packet would leave the memory and throw
      bytes.set(packet.slice(0, length), end);
      assert.equal(coalescer.add(end, length), true);
      assert.equal(coalescer.finish(), 10 + length);
    }
  }
});

test("a super-packet holds 64 datagrams at most", () => {
  const datagram = makePacket({ ...fields, protocol: "udp" });
  assert.deepEqual(coalesce(new Array(130).fill(datagram)).map(countPackets), [64, 64, 2]);
});

test("a super-packet is 65,535 bytes at most", () => {
  // 40 + 45 x 1455 + 20 bytes are 65,535 exactly.
  const lengths = [...new Array(45).fill(1455), 20];
  const make = (lengths: readonly number[]): Uint8Array[] =>
    lengths.map((length, i) => makePacket({ payload: new Uint8Array(length), sequence: 1 + i * 1455 }));
  assert.deepEqual(
    coalesce(make(lengths)).map((written) => written.length),
    [10 + 65_535],
  );
  lengths[45] = 21;
  assert.deepEqual(coalesce(make(lengths)).map(countPackets), [45, 1]);
});

test("the longest IPv6 packet has room", () => {
  const packet = makePacket({ family: 6, protocol: "udp", payload: new Uint8Array(65_527) });
  assert.deepEqual(coalesce([packet])[0].slice(10), packet);
});

test("two coalescers in one arena do not disturb each other", () => {
  const two = makeKernels(4);
  const places = [100, 100 + Coalescer.room + Coalescer.headroom];
  const coalescers = places.map((at) => new Coalescer(two, at, all));
  const make = (port: number, i: number): Uint8Array =>
    makePacket({ ...fields, sourcePort: port, sequence: 1 + i * size });
  for (let i = 0; i < 3; i++) {
    for (const [which, coalescer] of coalescers.entries()) {
      two.bytes.set(make(which, i), 200_000);
      assert.equal(coalescer.add(200_000, 40 + size), true);
    }
  }
  for (const [which, coalescer] of coalescers.entries()) {
    const length = coalescer.finish();
    const [expected] = slowCoalesce([make(which, 0), make(which, 1), make(which, 2)], all);
    assert.deepEqual(two.bytes.slice(places[which] - 10, places[which] - 10 + length), expected);
  }
});

test("no room, or a length no packet has, is a programmer's error", () => {
  assert.throws(() => new Coalescer(kernels, Coalescer.headroom - 1, all), VpnError);
  assert.throws(() => new Coalescer(kernels, bytes.length - Coalescer.room + 1, all), VpnError);
  const coalescer = new Coalescer(kernels, bytes.length - Coalescer.room, all);
  assert.throws(() => coalescer.add(scratch, 0), VpnError);
  assert.throws(() => coalescer.add(scratch, 65_576), VpnError);
  assert.equal(coalescer.finish(), 0);
});
