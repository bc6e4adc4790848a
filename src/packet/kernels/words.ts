/**
 * 16-bit and 32-bit words in network order; offsets need no alignment.
 *
 * WebAssembly is little-endian: a 16-bit word of a packet is loaded with its two bytes swapped, which RFC 1071 §2(B)
 * allows for sums as long as all words of a sum are loaded alike.
 */

export function swap16(value: u32): u32 {
  return bswap<u16>(value as u16);
}

export function get16(at: usize): u32 {
  return bswap<u16>(load<u16>(at));
}

export function put16(at: usize, value: u32): void {
  store<u16>(at, bswap<u16>(value as u16));
}

export function get32(at: usize): u32 {
  return bswap<u32>(load<u32>(at));
}

export function put32(at: usize, value: u32): void {
  store<u32>(at, bswap<u32>(value));
}
