/** BLAKE2s as RFC 7693 §3 writes it, keyed or not, with any output length; and HMAC over it, as RFC 2104 writes that. */
const iv = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const sigma = [
  "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
  "14 10 4 8 9 15 13 6 1 12 0 2 11 7 5 3",
  "11 8 12 0 5 2 15 13 10 14 3 6 7 1 9 4",
  "7 9 3 1 13 12 11 14 2 6 5 10 4 0 15 8",
  "9 0 5 7 2 4 10 15 14 1 11 12 6 8 3 13",
  "2 12 6 10 0 11 8 3 4 13 7 5 15 14 1 9",
  "12 5 1 15 14 13 4 10 0 7 6 3 9 2 8 11",
  "13 11 7 14 12 1 3 9 5 0 15 4 8 6 2 10",
  "6 15 14 9 11 3 0 8 12 2 13 7 1 4 10 5",
  "10 2 8 4 7 6 1 5 15 11 9 14 3 12 13 0",
].map((row) => row.split(" ").map(Number));
const blockLength = 64;

export function slowBlake2s(
  message: Uint8Array,
  { key = new Uint8Array(0), length = 32 }: { key?: Uint8Array; length?: number } = {},
): Uint8Array {
  const keyed = key.length > 0 ? blockLength : 0;
  const data = new Uint8Array(Math.max(1, Math.ceil((keyed + message.length) / blockLength)) * blockLength);
  data.set(key);
  data.set(message, keyed);
  let h = iv.slice();
  h[0] ^= 0x0101_0000 ^ (key.length << 8) ^ length;
  for (let at = 0; at < data.length; at += blockLength) {
    const isLast = at + blockLength === data.length;
    h = compress(h, data.subarray(at, at + blockLength), isLast ? keyed + message.length : at + blockLength, isLast);
  }
  return Uint8Array.from({ length }, (_, i) => h[i >> 2] >>> (8 * (i & 3)));
}

export function slowHmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  const pad = (byte: number) => Uint8Array.from({ length: blockLength }, (_, i) => (key[i] ?? 0) ^ byte);
  const inner = slowBlake2s(Uint8Array.of(...pad(0x36), ...message));
  return slowBlake2s(Uint8Array.of(...pad(0x5c), ...inner));
}

function compress(h: readonly number[], block: Uint8Array, count: number, isLast: boolean): number[] {
  const view = new DataView(block.buffer, block.byteOffset);
  const m = Array.from({ length: 16 }, (_, i) => view.getUint32(4 * i, true));
  const v = [...h, ...iv];
  v[12] ^= count;
  if (isLast) v[14] ^= 0xffff_ffff;
  const rotate = (x: number, n: number) => (x >>> n) | (x << (32 - n));
  const mix = (a: number, b: number, c: number, d: number, x: number, y: number) => {
    v[a] = (v[a] + v[b] + x) | 0;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] = (v[c] + v[d]) | 0;
    v[b] = rotate(v[b] ^ v[c], 12);
    v[a] = (v[a] + v[b] + y) | 0;
    v[d] = rotate(v[d] ^ v[a], 8);
    v[c] = (v[c] + v[d]) | 0;
    v[b] = rotate(v[b] ^ v[c], 7);
  };
  for (const s of sigma) {
    mix(0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(3, 7, 11, 15, m[s[6]], m[s[7]]);
    mix(0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(3, 4, 9, 14, m[s[14]], m[s[15]]);
  }
  return h.map((word, i) => word ^ v[i] ^ v[i + 8]);
}
