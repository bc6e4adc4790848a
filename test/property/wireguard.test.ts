import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import { fromBase64, fromHex, toBase64, toHex } from "../../src/base/bytes.ts";
import { AllowedIps } from "../../src/wireguard/allowed-ips.ts";
import { innerPacketLength } from "../../src/wireguard/inner-packet.ts";
import { readCounter, readUint32, writeCounter, writeUint32 } from "../../src/wireguard/messages.ts";
import { acceptCounter, replayWindowWords } from "../../src/wireguard/replay-window.ts";
import { isLater, stampAfter } from "../../src/wireguard/timestamp.ts";
import { SlowAllowedIps } from "../reference/allowed-ips.ts";
import { SlowReplayWindow } from "../reference/replay-window.ts";

test("hexadecimal and base64 come back, and agree with Node's", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      assert.deepEqual(fromHex(toHex(bytes)), bytes);
      assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
      assert.equal(toBase64(bytes), Buffer.from(bytes).toString("base64"));
    }),
  );
});

test("base64 text is either refused or the one text for its bytes", () => {
  const text = fc.stringMatching(/^([AQgwZ09+/]{4}){0,2}[AQgwZ09+/]{2}(==|[AQgwZ09+/]={0,2})$/);
  fc.assert(
    fc.property(text, (encoded) => {
      const bytes = fromBase64(encoded);
      if (bytes !== undefined) assert.equal(Buffer.from(bytes).toString("base64"), encoded);
    }),
  );
});

test("addresses, prefixes and endpoints come back from their text", () => {
  const octets = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), sparse(16));
  fc.assert(
    fc.property(octets, fc.nat(128), fc.nat(65_535), (bytes, prefix, port) => {
      const address = new IpAddress(bytes);
      assert.deepEqual(IpAddress.parse(`${address}`).bytes, bytes);
      const cidr = new Cidr(address, Math.min(prefix, address.bits));
      assert.ok(Cidr.parse(`${cidr}`).equals(cidr));
      assert.ok(cidr.contains(address));
      const endpoint = new Endpoint(address, port);
      assert.ok(Endpoint.parse(`${endpoint}`).equals(endpoint));
    }),
  );
});

test("integers come back wherever they are written, and touch nothing else", () => {
  fc.assert(
    fc.property(fc.nat(20), fc.nat(0xffff_ffff), fc.maxSafeNat(), (at, word, counter) => {
      const bytes = new Uint8Array(32).fill(0xa5);
      writeCounter(bytes, at, counter);
      assert.equal(readCounter(bytes, at), counter);
      assert.equal(new DataView(bytes.buffer).getBigUint64(at, true), BigInt(counter));
      writeUint32(bytes, at, word);
      assert.equal(readUint32(bytes, at), word);
      assert.ok(bytes.every((byte, i) => (i >= at && i < at + 8) || byte === 0xa5));
    }),
  );
});

test("the replay window equals its slow twin on any sequence of counters", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: -70, max: 70 }) },
    { weight: 3, arbitrary: fc.integer({ min: -8_300, max: 8_300 }) },
    { weight: 1, arbitrary: fc.integer({ min: -20_000, max: 2 ** 33 }) },
  );
  const start = fc.constantFrom(0, 2 ** 31 - 50, 2 ** 32 - 50, 2 ** 47);
  fc.assert(
    fc.property(start, fc.array(step, { maxLength: 300, size: "max" }), (from, steps) => {
      const words = new Int32Array(replayWindowWords);
      const twin = new SlowReplayWindow();
      let counter = from;
      for (const delta of steps) {
        counter = Math.max(0, counter + delta);
        assert.equal(acceptCounter(words, 0, counter), twin.accept(counter), `${counter}`);
      }
    }),
  );
});

test("allowed IPs equal their slow twin after any sequence of changes", () => {
  const bytes = fc.oneof(sparse(4), sparse(16));
  const cidr = fc
    .tuple(bytes, fc.nat(128))
    .map(([octets, prefix]) => new Cidr(new IpAddress(octets), prefix % (octets.length * 8 + 1)));
  const change = fc.record({
    kind: fc.constantFrom("insert", "insert", "insert", "remove", "removePeer"),
    cidr,
    peerId: fc.nat(3),
    again: fc.nat(30),
  });
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 60, size: "max" }),
      fc.array(bytes, { maxLength: 20 }),
      (changes, others) => {
        const table = new AllowedIps(new Int32Array(121 * 8));
        const twin = new SlowAllowedIps();
        const used: Cidr[] = [];
        for (const { kind, cidr: fresh, peerId, again } of changes) {
          const chosen = kind === "remove" ? (used[again % Math.max(1, used.length)] ?? fresh) : fresh;
          used.push(chosen);
          for (const either of [table, twin]) {
            if (kind === "removePeer") either.removePeer(peerId);
            else either[kind === "remove" ? "remove" : "insert"](chosen, peerId);
          }
          const edges = used.flatMap(({ address, network }) => [address.bytes, network.address.bytes]);
          for (const octets of [...others, ...edges]) {
            const address = new IpAddress(octets);
            assert.equal(table.lookup(octets, 0, address.family), twin.lookup(address), `${address}`);
          }
        }
        for (const peerId of [0, 1, 2, 3]) {
          assert.deepEqual(Array.from(table.entries(peerId), String).sort(), twin.entries(peerId).sort());
          table.removePeer(peerId);
        }
        // All nodes are free again: the table takes as many as an empty one.
        for (let i = 0; i < 60; i++) table.insert(new Cidr(new IpAddress(Uint8Array.of(i, 0, 0, 0)), 32), 1);
      },
    ),
    { numRuns: 60 },
  );
});

test("the inner length never reaches past what is there", () => {
  const first = fc.constantFrom(0x45, 0x46, 0x4f, 0x60, 0x6f, 0x00, 0xf5);
  fc.assert(
    fc.property(sparse(60), first, fc.nat(60), (bytes, versionByte, length) => {
      bytes[0] = versionByte;
      const total = innerPacketLength(bytes, 0, length);
      assert.ok(total === -1 || (total >= 20 && total <= length));
    }),
  );
});

test("stamps rise on any clock", () => {
  const time = fc.oneof(
    fc.nat(5_000),
    fc.maxSafeNat().map((n) => n % 4e12),
  );
  fc.assert(
    fc.property(fc.array(time, { minLength: 2 }), (times) => {
      let last = stampAfter(undefined, times[0]);
      for (const now of times.slice(1)) {
        const stamp = stampAfter(last, now);
        assert.ok(isLater(stamp, last));
        assert.ok(new DataView(stamp.buffer).getUint32(8) < 1e9);
        last = stamp;
      }
    }),
  );
});

/** Bytes among which zeros and a few values are frequent, so that runs and shared prefixes happen. */
function sparse(length: number): fc.Arbitrary<Uint8Array> {
  const byte = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(0, 1, 128, 255) },
    { weight: 1, arbitrary: fc.nat(255) },
  );
  return fc.array(byte, { minLength: length, maxLength: length }).map((bytes) => Uint8Array.from(bytes));
}
