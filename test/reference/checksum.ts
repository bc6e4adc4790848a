/** The Internet checksum as RFC 1071 §1 describes it: one word after the other, the carry brought around at once. */
export function slowSum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let at = 0; at < bytes.length; at += 2) {
    const word = bytes[at] * 256 + (at + 1 < bytes.length ? bytes[at + 1] : 0);
    sum += word;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** The complement of the sum over all parts, each of which begins a new word. */
export function slowChecksum(...parts: readonly Uint8Array[]): number {
  return 0xffff - parts.reduce((sum, part) => slowSum(part, sum), 0);
}
