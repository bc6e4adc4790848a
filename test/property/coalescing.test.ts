import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Coalescer } from "../../src/packet/coalescing.ts";
import type { SuperPacketKinds } from "../../src/packet/virtio-header.ts";
import { slowCoalesce } from "../reference/coalescing.ts";
import { guard, makeKernels } from "../reference/kernels.ts";
import { makePacket, type PacketFields, repairChecksums } from "../reference/packets.ts";
import { noise } from "./super-packets.ts";

const kernels = makeKernels(4);
const bytes = kernels.bytes;
const held = 1_001;
const scratch = 100_003;
const untouched = new Uint8Array(bytes.length).fill(guard);
const all = { tcp4: true, tcp6: true, udp: true };

/** What a packet of a flow may have that the one before it had not. */
type Change = "none" | "field" | "gap" | "identification" | "shorter" | "empty" | "push" | "fin" | "byte" | "cut";

const step = fc.record({
  change: fc.oneof(
    { weight: 4, arbitrary: fc.constant<Change>("none") },
    {
      weight: 3,
      arbitrary: fc.constantFrom<Change>(
        "field",
        "gap",
        "identification",
        "shorter",
        "empty",
        "push",
        "fin",
        "byte",
        "cut",
      ),
    },
  ),
  field: fc.constantFrom<Partial<PacketFields>>(
    ...[
      { family: 6 as const },
      { protocol: "udp" as const },
      { trafficClass: 4 },
      { flowLabel: 9 },
      { timeToLive: 63 },
    ],
    ...[{ dontFragment: false }, { source: 9 }, { destination: 9 }, { sourcePort: 9 }, { destinationPort: 9 }],
    ...[{ acknowledgement: 9 }, { flags: 0x50 }, { flags: 0x90 }, { flags: 0x12 }, { flags: 0x30 }, { flags: 0 }],
    ...[{ window: 9 }, { urgentPointer: 9 }, { options: Uint8Array.of(1, 1, 1, 1) }],
    ...[{ options: Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2) }],
    ...[{ options: Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 3) }],
  ),
  /** Whether the packets that follow have that field or byte, too. */
  stays: fc.boolean(),
  isRepaired: fc.boolean(),
  at: fc.nat(80),
  value: fc.integer({ min: 1, max: 255 }),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const flow = fc.record({
  family: fc.constantFrom<4 | 6>(4, 6),
  protocol: fc.constantFrom<"tcp" | "udp">("tcp", "udp"),
  dontFragment: fc.boolean(),
  identification: fc.constantFrom(0, 0xfffe),
  sequence: fc.constantFrom(1, 0xffff_ffff),
  options: fc.constantFrom(new Uint8Array(), Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2)),
});

/** The packets of one flow to which things happen. */
function makeFlow(start: Partial<PacketFields>, size: number, steps: readonly Step[]): Uint8Array[] {
  let fields: Partial<PacketFields> = { ...start };
  const patches: Step[] = [];
  return steps.map((step, i) => {
    const { change, field, stays, value } = step;
    const { sequence = 0, identification = 0 } = fields;
    const length = change === "shorter" ? Math.ceil(size / 2) : change === "empty" ? 0 : size;
    const flags = (fields.flags ?? 0x10) | (change === "push" ? 8 : 0) | (change === "fin" ? 1 : 0);
    const now: Partial<PacketFields> = {
      ...fields,
      payload: noise(length, i),
      flags,
      ...(change === "field" ? field : {}),
      ...(change === "gap" ? { sequence: (sequence + value) % 2 ** 32 } : {}),
      ...(change === "identification" ? { identification: (identification + value) % 65_536 } : {}),
    };
    const packet = makePacket(now);
    for (const patch of change === "byte" ? [...patches, step] : patches) {
      packet[patch.at % packet.length] ^= patch.value;
      if (patch.isRepaired) repairChecksums(packet);
    }
    if (change === "byte" && stays) patches.push(step);
    fields = {
      ...(stays ? { ...now, flags: now.flags === flags ? (fields.flags ?? 0x10) : (now.flags ?? 0x10) } : fields),
      sequence: ((now.sequence ?? 0) + payloadLength(packet, length)) % 2 ** 32,
      identification: ((now.identification ?? 0) + 1) % 65_536,
    };
    return change === "cut" ? packet.slice(0, Math.max(1, packet.length - value)) : packet;
  });
}

/** What a receiver takes for payload, even where a patch has moved its beginning. */
function payloadLength(packet: Uint8Array, made: number): number {
  const transport = packet[0] >> 4 === 4 ? 20 : 40;
  if (packet[transport === 20 ? 9 : 6] !== 6) return made;
  return Math.max(0, packet.length - transport - (packet[transport + 12] >> 4) * 4);
}

/** What the coalescer makes of one batch, and that it minds its room. */
function coalesce(packets: readonly Uint8Array[], kinds: SuperPacketKinds, offset: number): Uint8Array[] {
  const at = held + offset;
  const coalescer = new Coalescer(kernels, at, kinds);
  const written: Uint8Array[] = [];
  const finish = (): void => {
    const length = coalescer.finish();
    if (length > 0) written.push(bytes.slice(at - 10, at - 10 + length));
  };
  for (const packet of packets) {
    bytes.fill(guard, at + Coalescer.room);
    bytes.set(packet, scratch + offset);
    if (!coalescer.add(scratch + offset, packet.length)) {
      finish();
      assert.equal(coalescer.add(scratch + offset, packet.length), true);
    }
    assert.deepEqual(bytes.slice(scratch + offset, scratch + offset + packet.length), packet);
    bytes.fill(guard, scratch + offset, scratch + offset + packet.length);
    for (const guarded of [bytes.subarray(0, at - Coalescer.headroom), bytes.subarray(at + Coalescer.room)]) {
      assert.equal(Buffer.compare(guarded, untouched.subarray(0, guarded.length)), 0);
    }
  }
  finish();
  return written;
}

test("coalescing decides and writes what its slow twin does", () => {
  const kinds = fc.oneof(
    { weight: 3, arbitrary: fc.constant(all) },
    { weight: 1, arbitrary: fc.record({ tcp4: fc.boolean(), tcp6: fc.boolean(), udp: fc.boolean() }) },
  );
  const draw = fc.tuple(flow, fc.integer({ min: 1, max: 90 }), fc.array(step, { minLength: 2, maxLength: 12 }), kinds);
  let merged = 0;
  let alone = 0;
  fc.assert(
    fc.property(draw, fc.nat(17), ([start, size, steps, kinds], offset) => {
      bytes.fill(guard);
      const packets = makeFlow(start, size, steps);
      const expected = slowCoalesce(packets, kinds);
      assert.deepEqual(coalesce(packets, kinds, offset), expected);
      for (const output of expected) {
        if (output[0] === 1) merged++;
        else alone++;
      }
    }),
    { numRuns: 1500 },
  );
  assert.ok(merged > 200 && alone > 200, `${merged} merged, ${alone} alone`);
});

test("random bytes pass through alone and unchanged", () => {
  const packet = fc.tuple(fc.constantFrom(0x45, 0x46, 0x60, 0x00), fc.uint8Array({ maxLength: 120 }));
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 5 }), (drawn) => {
      bytes.fill(guard);
      const packets = drawn.map(([first, rest]) => Uint8Array.of(first, ...rest));
      assert.deepEqual(coalesce(packets, all, 0), slowCoalesce(packets, all));
    }),
    { numRuns: 300 },
  );
});
