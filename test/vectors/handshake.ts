/**
 * One handshake with fixed secrets, in hexadecimal: made once by `test/reference/handshake.ts`, which follows the
 * whitepaper, and kept, so that no change goes unseen that would change both.
 */
import type { Secrets } from "../reference/handshake.ts";

const counted = (start: number, length = 32) => Uint8Array.from({ length }, (_, i) => (start + i) & 255);

export const secrets: Secrets = {
  Si: counted(1),
  Sr: counted(51),
  Ei: counted(101),
  Er: counted(151),
  Q: counted(201),
  Ii: 0x1122_3344,
  Ir: 0xaabb_ccdd,
  timestamp: Uint8Array.of(0x40, 0, 0, 0, 0x68, 0x55, 0x12, 0x34, 0x0c, 0, 0, 0),
};

/** What the cookie reply to the initiation is made of. */
export const cookieInput: { secret: Uint8Array; nonce: Uint8Array; address: string; port: number } = {
  secret: counted(7),
  nonce: counted(77, 24),
  address: "192.0.2.1",
  port: 0x1234,
};

/** What the data message carries, and its counter, which needs both words. */
export const dataInput: { counter: number; padded: Uint8Array } = { counter: 2 ** 32 + 5, padded: counted(0, 16) };

export const golden = {
  initiation:
    "01000000443322115714769d116bf76436ae74bc793d2c30ad1903c59ac5273805c7e2698b410c36c70ebe11c02e257dbbad836934a6f33216e8508710b427dc918e0359697082d90c501e49a257e481fc781227325705cce7fb3df18331ae9071fc7f690fabf1d79a11e633e1bf184a21fa258f225587cd89496cfcf75325f3e4efe2ae00000000000000000000000000000000",
  response:
    "02000000ddccbbaa44332211153864612f5c5d47f684d66899a9de4f7c30b5f74a8ebd699642212bce00d9387c8f7690e35ed776c33a90505e9d4893dc2b1d12b384d5ccf0cf8a23befe5aa300000000000000000000000000000000",
  initiatorKey: "7151a281787ad53e044f0b55c8b2d7dd97a81452ff0f71b64e078be7d59b527b",
  responderKey: "d6ea422d4133eafd1ac8a633660b51770045272dde19884330cb01f149f94141",
  data: "04000000ddccbbaa0500000001000000096a60558d6709952535a97796244ff9830399d03bbea9d88647ac5511c00c0c",
  cookieReply:
    "03000000443322114d4e4f505152535455565758595a5b5c5d5e5f606162636423e578f1695fb7d4e42b736e08a26ce9014d0324a36b6851f74d428056799c03",
} as const;
