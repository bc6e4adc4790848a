/** Copying blocks of bytes: nothing outside the named ranges is touched, not even read. */

/** Copies between ranges that do not overlap. The last block overlaps the one before it rather than pass the end. */
export function copy(to: usize, from: usize, length: i32): void {
  if (length < 16) {
    copyShort(to, from, length);
    return;
  }
  const end = from + length - 16;
  const lastTo = to + length - 16;
  while (from < end) {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  }
  v128.store(lastTo, v128.load(end));
}

/** Copies 0 to 15 bytes. */
export function copyShort(to: usize, from: usize, length: i32): void {
  if (length & 8) {
    store<u64>(to, load<u64>(from));
    to += 8;
    from += 8;
  }
  if (length & 4) {
    store<u32>(to, load<u32>(from));
    to += 4;
    from += 4;
  }
  if (length & 2) {
    store<u16>(to, load<u16>(from));
    to += 2;
    from += 2;
  }
  if (length & 1) store<u8>(to, load<u8>(from));
}
