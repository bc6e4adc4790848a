import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { fromHex, toHex } from "../../../src/base/bytes.ts";
import { native } from "../../../src/crypto/native.ts";
import { portable } from "../../../src/crypto/portable.ts";
import type { Primitives, SymmetricPrimitives } from "../../../src/crypto/primitives.ts";
import { ArenaPrimitives } from "../../../src/dataplane/arena-primitives.ts";
import { type CurveFunctions, openssl } from "../../../src/os/openssl.ts";
import { slowBlake2s, slowHmac } from "../../reference/blake2s.ts";
import { slowX25519 } from "../../reference/x25519.ts";
import * as vectors from "../../vectors/crypto.ts";

const range = (length: number) => Uint8Array.from({ length }, (_, i) => i & 255);
const nothing = new Uint8Array(0);

const arena = new ArenaPrimitives();
const everything = {
  native,
  arena,
  "arena without symbols": new ArenaPrimitives({ evp: undefined, curve: undefined }),
};

for (const [name, primitives] of Object.entries<SymmetricPrimitives>({ ...everything, portable })) {
  suite(`${name} primitives`, () => {
    test("BLAKE2s: RFC 7693 appendix B", () => {
      assert.equal(toHex(primitives.hash()), vectors.blake2s.empty);
      assert.equal(toHex(primitives.hash(bytes("616263"))), vectors.blake2s.abc);
      assert.equal(toHex(primitives.hash(bytes("61"), nothing, bytes("6263"))), vectors.blake2s.abc);
    });

    test("BLAKE2s, its 16-byte mac and the KDF equal their slow twins at every length around a block", () => {
      for (let length = 0; length <= 200; length++) {
        const input = range(length);
        assert.deepEqual(primitives.hash(input), slowBlake2s(input));
        assert.deepEqual(primitives.mac(range(32), input), slowBlake2s(input, { key: range(32), length: 16 }));
        for (const count of [1, 2, 3] as const) {
          assert.deepEqual(primitives.kdf(count, range(32), input), slowKdf(count, range(32), input));
        }
      }
      assert.deepEqual(primitives.mac(range(16), range(9)), slowBlake2s(range(9), { key: range(16), length: 16 }));
    });

    test("ChaCha20-Poly1305: RFC 8439 §2.8.2 and A.5", () => {
      for (const vector of vectors.chacha20Poly1305) {
        checkAead(vector, primitives.seal.bind(primitives), primitives.open.bind(primitives));
      }
    });

    test("XChaCha20-Poly1305: draft-irtf-cfrg-xchacha A.3.1", () => {
      checkAead(vectors.xchacha20Poly1305, primitives.xseal, primitives.xopen);
    });
  });
}

test("the slow twins themselves: keyed BLAKE2s and X25519 give the published answers", () => {
  for (const [length, answer] of Object.entries(vectors.blake2s.keyed)) {
    assert.equal(toHex(slowBlake2s(range(Number(length)), { key: range(32) })), answer);
  }
  for (const { scalar, point, result } of vectors.x25519.products) {
    assert.equal(toHex(slowX25519(bytes(scalar), bytes(point))), result);
  }
});

for (const [name, primitives] of Object.entries<Primitives>(everything)) {
  suite(`${name} curve`, () => {
    test("X25519: RFC 7748 §5.2 and §6.1", () => {
      for (const { scalar, point, result } of vectors.x25519.products) {
        assert.equal(hex(primitives.x25519(bytes(scalar), bytes(point))), result);
      }
      const { alice, alicePublic, bob, bobPublic, shared } = vectors.x25519.agreement;
      assert.equal(hex(primitives.publicKey(bytes(alice))), alicePublic);
      assert.equal(hex(primitives.publicKey(bytes(bob))), bobPublic);
      assert.equal(hex(primitives.x25519(bytes(alice), bytes(bobPublic))), shared);
      assert.equal(hex(primitives.x25519(bytes(bob), bytes(alicePublic))), shared);
    });

    test("X25519: RFC 7748 §5.2, iterated a thousand times", () => {
      let [k, u] = [bytes(`09${"00".repeat(31)}`), bytes(`09${"00".repeat(31)}`)];
      for (let i = 1; i <= 1000; i++) {
        const result = primitives.x25519(k, u);
        assert.ok(result);
        [k, u] = [result, k];
        if (i === 1) assert.equal(hex(k), vectors.x25519.iterated[1]);
      }
      assert.equal(hex(k), vectors.x25519.iterated[1000]);
    });

    test("X25519 refuses points of low order, whose secret anybody knows", () => {
      for (const point of vectors.x25519.lowOrder) {
        assert.equal(primitives.x25519(range(32), bytes(point)), undefined, point);
        const highBit = bytes(point);
        highBit[31] |= 128; // ignored, RFC 7748 §5
        assert.equal(primitives.x25519(range(32), highBit), undefined);
      }
    });
  });
}

test("a curve that gives another answer, or an agreement of zeros, is not used", () => {
  const { curve } = openssl;
  assert.ok(curve);
  const liars: CurveFunctions[] = [
    { x25519: (out, secret, point) => curve.x25519(out, point, secret) },
    { x25519: (out, secret, point) => curve.x25519(out, secret, point) | 1 },
    { x25519: () => 1 },
  ];
  const { alice, bobPublic, shared } = vectors.x25519.agreement;
  for (const liar of liars) {
    using primitives = new ArenaPrimitives({ evp: undefined, curve: liar });
    assert.equal(hex(primitives.x25519(bytes(alice), bytes(bobPublic))), shared);
    assert.equal(primitives.x25519(range(32), bytes(vectors.x25519.lowOrder[1])), undefined);
  }
});

/** Whitepaper §5.4: T0 is HMAC of the input, each output HMAC of the one before it and its number. */
function slowKdf(count: number, key: Uint8Array, input: Uint8Array): Uint8Array[] {
  const secret = slowHmac(key, input);
  const outputs: Uint8Array[] = [];
  for (let i = 1; i <= count; i++) outputs.push(slowHmac(secret, Uint8Array.of(...(outputs.at(-1) ?? []), i)));
  return outputs;
}

function checkAead(
  vector: vectors.AeadVector,
  seal: SymmetricPrimitives["seal"],
  open: SymmetricPrimitives["open"],
): void {
  const { key, nonce, associated, plaintext, sealed } = {
    key: bytes(vector.key),
    nonce: bytes(vector.nonce),
    associated: bytes(vector.associated),
    plaintext: bytes(vector.plaintext),
    sealed: bytes(vector.sealed),
  };
  assert.equal(toHex(seal(key, nonce, plaintext, associated)), vector.sealed);
  assert.equal(hex(open(key, nonce, sealed, associated)), vector.plaintext);
  const empty = seal(key, nonce, nothing, associated);
  assert.equal(empty.length, 16);
  assert.deepEqual(open(key, nonce, empty, associated), nothing);
  for (const at of [0, sealed.length - 17, sealed.length - 16, sealed.length - 1]) {
    const damaged = sealed.slice();
    damaged[at] ^= 0x80;
    assert.equal(open(key, nonce, damaged, associated), undefined);
  }
  assert.equal(open(key, nonce, sealed, nothing), undefined);
  assert.equal(open(key, nonce, sealed.subarray(0, 15), associated), undefined);
}

function bytes(text: string): Uint8Array {
  return fromHex(text) ?? assert.fail(text);
}

function hex(value: Uint8Array | undefined): string {
  assert.ok(value);
  return toHex(value);
}
