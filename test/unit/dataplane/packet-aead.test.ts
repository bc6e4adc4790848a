import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import fc from "fast-check";
import { selectAead } from "../../../src/dataplane/aead-selection.ts";
import { passesSelfTest } from "../../../src/dataplane/aead-self-test.ts";
import { aeadLead, aeadNames, aeadScratch, aeadTail, tagLength } from "../../../src/dataplane/packet-aead.ts";
import { Arena } from "../../../src/os/arena.ts";
import { instantiateKernels, kernelsUrl } from "../../../src/packet/kernels.ts";

const arena = new Arena({ size: 4 * 65_536 });
const keyArena = new Arena({ size: 65_536, shared: true });
const keys = { bytes: new Uint8Array(keyArena.buffer), base: keyArena.base };
const kernels = instantiateKernels(new WebAssembly.Module(readFileSync(kernelsUrl)), arena.memory);
const bytes = new Uint8Array(arena.buffer);
const place = 16_384;
const opened = 131_072;
const largest = 65_535;

const lengths = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.constantFrom(1392, 1404, 1405, 1420, largest - 32));
const counters = fc.tuple(fc.integer(), fc.integer({ min: 0, max: 0xffff }));

for (const name of aeadNames) {
  suite(`provider ${name}`, () => {
    const { aead } = selectAead({ arena, kernels, scratch: 64, keys }, name);
    assert.ok(aead, `${name} is missing or fails its self-test on this Node`);

    test("seals as an independent implementation does, and touches nothing beyond its room", () => {
      fc.assert(
        fc.property(
          lengths,
          fc.nat(15),
          counters,
          fc.uint8Array({ minLength: 32, maxLength: 32 }),
          (length, shift, [low, high], key) => {
            const at = place + shift;
            keys.bytes.set(key, 96);
            bytes.fill(0xa5, at - aeadLead - 16, at + length + aeadTail + 16);
            const text = Uint8Array.from({ length }, (_, i) => i * 31 + length);
            bytes.set(text, at);
            aead.seal(96, low, high, at, length);
            const expected = chacha20poly1305(key, nonce(low, high)).encrypt(text);
            assert.deepEqual(bytes.slice(at, at + length + tagLength), expected);
            assert.ok(
              bytes.slice(at - aeadLead - 16, at - aeadLead).every((byte) => byte === 0xa5),
              "before",
            );
            const end = at + length + aeadTail;
            assert.ok(
              bytes.slice(end, end + 16).every((byte) => byte === 0xa5),
              "behind",
            );
          },
        ),
      );
    });

    test("opens what is authentic, refuses a flipped bit, and leaves the message behind alone", () => {
      fc.assert(
        fc.property(lengths, fc.nat(15), counters, fc.nat(), (length, shift, [low, high], flip) => {
          const at = place + shift;
          const key = new Uint8Array(32).fill(length & 255);
          keys.bytes.set(key, 96);
          const text = Uint8Array.from({ length }, (_, i) => i * 17 + 3);
          const sealed = chacha20poly1305(key, nonce(low, high)).encrypt(text);
          const next = Uint8Array.from({ length: 48 }, (_, i) => 200 - i);
          bytes.set(sealed, at);
          bytes.set(next, at + sealed.length);
          assert.equal(aead.open(96, low, high, at, opened, length), true);
          assert.deepEqual(bytes.slice(opened, opened + length), text);
          assert.deepEqual(bytes.slice(at + sealed.length, at + sealed.length + next.length), next);
          bytes.set(sealed, at);
          bytes[at + (flip % sealed.length)] ^= 1 << (flip % 8);
          assert.equal(aead.open(96, low, high, at, opened, length), false);
        }),
      );
    });
  });
}

test("without a wish the fastest is chosen", () => {
  assert.equal(selectAead({ arena, kernels, scratch: 64, keys }).aead?.name, "block");
});

test("the self-test finds a provider that seals wrongly, one that opens wrongly and one that accepts forgeries", () => {
  const own = { bytes, base: arena.base };
  const { aead: honest } = selectAead({ arena, kernels, scratch: 64, keys: own }, "evp");
  assert.ok(honest);
  const at = 64 + aeadScratch;
  assert.equal(passesSelfTest(honest, bytes, at), true);
  const dispose = { [Symbol.dispose]: () => undefined };
  const wrongNonce = {
    ...honest,
    ...dispose,
    seal: (...[key, low, high, text, length]: Parameters<typeof honest.seal>) =>
      honest.seal(key, high, low, text, length),
  };
  assert.equal(passesSelfTest(wrongNonce, bytes, at), false);
  assert.equal(passesSelfTest({ ...honest, ...dispose, open: () => false }, bytes, at), false);
  const credulous = (...args: Parameters<typeof honest.open>) => {
    honest.open(...args);
    return true;
  };
  assert.equal(passesSelfTest({ ...honest, ...dispose, open: credulous }, bytes, at), false);
});

function nonce(low: number, high: number): Uint8Array {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setInt32(4, low, true);
  new DataView(bytes.buffer).setInt32(8, high, true);
  return bytes;
}
