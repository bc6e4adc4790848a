/**
 * The Internet checksum's sum (RFC 1071), sixteen bytes at a time.
 *
 * Eight words of a block become four 32-bit lanes, each grown by at most 2 x 65,535 a block. A lane holds 32,768 blocks,
 * which is 512 KiB, eight times the largest packet: no carry is ever lost. What is left over is added as longer words,
 * since 2^16 is 1 modulo 65,535.
 */
import { copyShort } from "./copy.ts";

/** Brings a sum of at most 2^47 to 16 bits. Zero only where all words were zero. */
export function fold(sum: u64): u32 {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return sum as u32;
}

/** The folded sum of at most 512 KiB, as words loaded little-endian, and of `initial`. */
export function sum(at: usize, length: i32, initial: u32): u32 {
  const end = at + length;
  let even = i32x4.splat(0);
  let odd = i32x4.splat(0);
  while (at + 32 <= end) {
    even = i32x4.add(even, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    odd = i32x4.add(odd, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 16)));
    at += 32;
  }
  if (length & 16) {
    even = i32x4.add(even, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    at += 16;
  }
  return fold(acrossLanes(even) + acrossLanes(odd) + sumShort(at, length & 15) + initial);
}

/** Copies at most 512 KiB between ranges that do not overlap and returns what `sum` would, in one pass. */
export function copySum(to: usize, from: usize, length: i32, initial: u32): u32 {
  const end = from + length;
  let even = i32x4.splat(0);
  let odd = i32x4.splat(0);
  while (from + 32 <= end) {
    const first = v128.load(from);
    const second = v128.load(from, 16);
    v128.store(to, first);
    v128.store(to, second, 16);
    even = i32x4.add(even, i32x4.extadd_pairwise_i16x8_u(first));
    odd = i32x4.add(odd, i32x4.extadd_pairwise_i16x8_u(second));
    to += 32;
    from += 32;
  }
  if (length & 16) {
    const block = v128.load(from);
    v128.store(to, block);
    even = i32x4.add(even, i32x4.extadd_pairwise_i16x8_u(block));
    to += 16;
    from += 16;
  }
  copyShort(to, from, length & 15);
  return fold(acrossLanes(even) + acrossLanes(odd) + sumShort(from, length & 15) + initial);
}

function acrossLanes(lanes: v128): u64 {
  const pairs = i64x2.add(i64x2.extend_low_i32x4_u(lanes), i64x2.extend_high_i32x4_u(lanes));
  return i64x2.extract_lane(pairs, 0) + i64x2.extract_lane(pairs, 1);
}

function sumShort(at: usize, length: i32): u64 {
  let sum: u64 = 0;
  if (length & 8) {
    sum += (load<u32>(at) as u64) + load<u32>(at, 4);
    at += 8;
  }
  if (length & 4) {
    sum += load<u32>(at);
    at += 4;
  }
  if (length & 2) {
    sum += load<u16>(at);
    at += 2;
  }
  // An odd last byte is the first of a word whose second is zero (RFC 1071 §4.1).
  if (length & 1) sum += load<u8>(at);
  return sum;
}
