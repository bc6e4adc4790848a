import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { Endpoint } from "../../../src/base/address.ts";
import { Arena } from "../../../src/os/arena.ts";
import { applyKey, ClassicConnection, classicConnectionSize } from "../../../src/transport/classic.ts";
import { greeting } from "../../../src/transport/greeting.ts";

test("every byte of the range is XORed with 0x42, and no other", () => {
  const place = fc.integer({ min: 0, max: 64 });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), place, place, (plain, a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      const bytes = Uint8Array.from(plain);
      applyKey(bytes, new Int32Array(bytes.buffer), from, to);
      assert.deepEqual(
        bytes,
        plain.map((byte, i) => (i >= from && i < to ? byte ^ 0x42 : byte)),
      );
    }),
  );
});

const packetLength = 1500;
const packetAt = classicConnectionSize;

/** A connection whose socket is a file, or none, and a packet of 1500 bytes at `packetAt`. */
class Bench implements Disposable {
  readonly connection: ClassicConnection;
  readonly #folder = mkdtempSync(join(tmpdir(), "warren-classic-"));
  readonly #file = join(this.#folder, "sent");
  readonly #fd = openSync(this.#file, "w");
  readonly #arena = new Arena({ size: Math.ceil((classicConnectionSize + packetLength) / 65_536) * 65_536 });

  constructor(fd?: number) {
    this.connection = new ClassicConnection(this.#arena, 0, 0, fd ?? this.#fd, Endpoint.parse("192.0.2.1:5555"));
    this.describePacket(packetLength);
  }

  /** Has the packet's header say this length. */
  describePacket(length: number): void {
    new Uint8Array(this.#arena.buffer).set([0x45, 0, length >> 8, length & 255], packetAt);
  }

  /** All that was sent so far, decoded. */
  get sent(): Uint8Array {
    return Uint8Array.from(readFileSync(this.#file), (byte) => byte ^ 0x42);
  }

  /** Lets the other side's greeting come in. */
  greet(): void {
    const { connection } = this;
    new Uint8Array(this.#arena.buffer).set(greeting, connection.packets.fill);
    connection.packets.accept(greeting.length);
    assert.equal(connection.takeGreeting(connection.packets.next(), greeting.length), true);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    rmSync(this.#folder, { recursive: true });
    this.#arena[Symbol.dispose]();
  }
}

test("a queue that is full drops whole packets and counts them", () => {
  using bench = new Bench(-1);
  const { connection } = bench;
  let taken = 0;
  while (connection.send(packetAt, packetLength)) taken++;
  assert.equal(taken, Math.floor((256 * 1024 - greeting.length) / packetLength));
  assert.equal(connection.send(packetAt, packetLength), false);
  assert.equal(connection.dropped, 2);
  assert.equal(connection.flush(0), "connection-lost", "a socket that is none");
});

test("one that has not greeted is sent the greeting, then a packet at a time with pauses", () => {
  using bench = new Bench();
  const { connection } = bench;
  for (let i = 0; i < 3; i++) assert.equal(connection.send(packetAt, packetLength), true);
  connection.flush(1000);
  assert.deepEqual(bench.sent, greeting);
  const expected = [1, 2, 3].map((packets) => greeting.length + packets * packetLength);
  for (const length of expected) {
    const { pausedUntil } = connection;
    assert.ok(pausedUntil > 0 && pausedUntil < 2000, `${pausedUntil}`);
    connection.flush(pausedUntil - 0.05);
    assert.ok(bench.sent.length < length, "not before the pause is over");
    connection.flush(pausedUntil);
    assert.equal(bench.sent.length, length);
  }
  assert.equal(connection.isWaiting, false);
});

test("one that has greeted is sent all that waits at once", () => {
  using bench = new Bench();
  const { connection } = bench;
  bench.greet();
  for (let i = 0; i < 3; i++) connection.send(packetAt, packetLength);
  assert.equal(connection.pausedUntil, 0);
  connection.flush(1000);
  assert.equal(bench.sent.length, greeting.length + 3 * packetLength);
});

test("a packet is no greeting", () => {
  using bench = new Bench();
  assert.equal(bench.connection.takeGreeting(packetAt, packetLength), false);
  assert.equal(bench.connection.takeGreeting(packetAt, greeting.length), false);
});

test("a packet that tells another length than it has is not sent", () => {
  using bench = new Bench();
  bench.describePacket(packetLength - 1);
  assert.equal(bench.connection.send(packetAt, packetLength), false);
});

test("no host takes the greeting for anything: its checksum is wrong", () => {
  const words = new DataView(greeting.buffer);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += words.getUint16(at);
  assert.notEqual((sum & 0xffff) + (sum >> 16), 0xffff);
  assert.equal(words.getUint16(2), greeting.length);
});
