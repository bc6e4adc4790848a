/** What fast-check draws TCP and UDP packets from. */
import fc from "fast-check";
import type { PacketFields } from "../reference/packets.ts";

/** Fields of any well-formed packet; sequence and identification are often close to where they wrap. */
export function packetFields(payload: fc.Arbitrary<Uint8Array>): fc.Arbitrary<PacketFields> {
  return fc.record({
    family: fc.constantFrom<4 | 6>(4, 6),
    protocol: fc.constantFrom<"tcp" | "udp">("tcp", "udp"),
    payload,
    trafficClass: fc.nat(255),
    flowLabel: fc.nat(0xf_ffff),
    timeToLive: fc.nat(255),
    identification: fc.oneof(fc.nat(0xffff), fc.constantFrom(0xfffe, 0xffff)),
    dontFragment: fc.boolean(),
    source: fc.nat(255),
    destination: fc.nat(255),
    sourcePort: fc.nat(0xffff),
    destinationPort: fc.nat(0xffff),
    sequence: fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0xffff_ff00, 0xffff_ffff)),
    acknowledgement: fc.nat(0xffff_ffff),
    flags: fc.nat(255),
    window: fc.nat(0xffff),
    urgentPointer: fc.nat(0xffff),
    options: fc.nat(10).chain((words) => fc.uint8Array({ minLength: 4 * words, maxLength: 4 * words })),
    isPartial: fc.constant(true),
  });
}

/** Payload of 1 to 65,000 bytes, as cheap to draw as its length. */
export function payloads(): fc.Arbitrary<Uint8Array> {
  const lengths = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 65_000 }));
  return fc.tuple(lengths, fc.nat(0xffff)).map(([length, seed]) => noise(length, seed));
}

/** Bytes without a pattern that repeats where packets do; long runs of 0xff among them. */
export function noise(length: number, seed: number): Uint8Array {
  let state = seed + 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state % 5 === 0 ? 0xff : state >>> 24;
  });
}

export const gsoSizes: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(1, 48, 536, 1240, 1360, 1380),
  fc.integer({ min: 1, max: 1400 }),
);
