/** X25519 as RFC 7748 §5 writes it, in big integers. */
const p = 2n ** 255n - 19n;
const a24 = 121665n;

export function slowX25519(secret: Uint8Array, point: Uint8Array): Uint8Array {
  const clamped = secret.slice();
  clamped[0] &= 248;
  clamped[31] = (clamped[31] & 127) | 64;
  const u = point.slice();
  u[31] &= 127;
  return encode(ladder(decode(clamped), decode(u)));
}

function ladder(k: bigint, u: bigint): bigint {
  const x1 = u;
  let [x2, z2, x3, z3] = [1n, 0n, u, 1n];
  let swap = 0n;
  for (let t = 254n; t >= 0n; t--) {
    const bit = (k >> t) & 1n;
    if (swap !== bit) [x2, z2, x3, z3] = [x3, z3, x2, z2];
    swap = bit;
    const aa = modulo((x2 + z2) ** 2n);
    const bb = modulo((x2 - z2) ** 2n);
    const e = aa - bb;
    const da = (x3 - z3) * (x2 + z2);
    const cb = (x3 + z3) * (x2 - z2);
    x3 = modulo((da + cb) ** 2n);
    z3 = modulo(x1 * (da - cb) ** 2n);
    x2 = modulo(aa * bb);
    z2 = modulo(e * (aa + a24 * e));
  }
  if (swap === 1n) [x2, z2] = [x3, z3];
  return modulo(x2 * power(z2, p - 2n));
}

function modulo(n: bigint): bigint {
  return ((n % p) + p) % p;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let b = base, e = exponent; e > 0n; e >>= 1n, b = modulo(b * b)) if (e & 1n) result = modulo(result * b);
  return result;
}

function decode(bytes: Uint8Array): bigint {
  return bytes.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n);
}

function encode(n: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((n >> BigInt(8 * i)) & 255n));
}
