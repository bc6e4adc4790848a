/** What an AEAD needs done around the cipher's own functions. */

/**
 * Makes a ciphertext at `at` into what Poly1305 authenticates (RFC 8439 §2.8) where there is no associated data: zeros
 * up to a multiple of 16 bytes from `at`, then the two lengths, 0 and `length`, as 64-bit little-endian numbers.
 * Writes up to 31 bytes from `at + length` on.
 */
export function poly1305Tail(at: usize, length: i32): void {
  const rest = length & 15;
  let end = at + (length & ~15);
  if (rest) {
    const numbers = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const kept = i8x16.lt_u(numbers, i8x16.splat(rest as i8));
    v128.store(end, v128.and(v128.load(end), kept));
    end += 16;
  }
  store<u64>(end, 0);
  store<u64>(end, length as u64, 8);
}

/** 1 where the 16 bytes at `a` and `b` are the same, else 0; no branch depends on them. */
export function tagsEqual(a: usize, b: usize): i32 {
  return v128.any_true(v128.xor(v128.load(a), v128.load(b))) ? 0 : 1;
}

/** Overwrites with zeros. */
export function zero(at: usize, length: i32): void {
  const end = at + length;
  while (at + 16 <= end) {
    v128.store(at, i64x2.splat(0));
    at += 16;
  }
  while (at < end) {
    store<u8>(at, 0);
    at++;
  }
}
