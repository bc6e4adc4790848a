import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { KeypairTable } from "../../../src/dataplane/keypair-table.ts";
import { PeerTable } from "../../../src/dataplane/peer-table.ts";
import { Reader, Reclaimer } from "../../../src/dataplane/quiescence.ts";
import { KeypairRecord, PeerRecord, SharedMemory, sharedMemorySize } from "../../../src/dataplane/shared-memory.ts";
import { Keypair } from "../../../src/wireguard/keypair.ts";
import { acceptCounter, replayWindowWords } from "../../../src/wireguard/replay-window.ts";

const layout = { maximumPeers: 8 };

function makeMemory(): SharedMemory {
  return new SharedMemory(new SharedArrayBuffer(sharedMemorySize(layout)), 0, layout);
}

function makeKeypair(localIndex: number, isInitiator = true): Keypair {
  const keys = { remoteIndex: 9, sendKey: new Uint8Array(32).fill(1), receiveKey: new Uint8Array(32).fill(2) };
  return new Keypair({ keys, localIndex, isInitiator, createdAt: 1000 });
}

/** Where in memory this byte value stands 32 times in a row. */
function findKey(memory: SharedMemory, value: number): number {
  return memory.bytes.findIndex((_, at) => memory.bytes.subarray(at, at + 32).every((byte) => byte === value));
}

test("a keypair is found by its index from being added until it is removed", () => {
  const memory = makeMemory();
  const table = new KeypairTable(memory, (release) => release());
  const keypairs = Array.from({ length: memory.keypairSlots }, () => makeKeypair(randomInt(0x1_0000_0000)));
  for (const keypair of keypairs) assert.ok(table.add(3, keypair));
  for (const keypair of keypairs) {
    const record = memory.findKeypair(keypair.localIndex | 0);
    assert.ok(record >= 0);
    assert.equal(memory.words[(record + KeypairRecord.peer) >> 2], 3);
  }
  assert.equal(table.add(3, makeKeypair(1)), false, "the table took more than three keypairs a peer");
  for (const keypair of keypairs) {
    table.remove(keypair);
    assert.equal(memory.findKeypair(keypair.localIndex | 0), -1);
  }
  assert.ok(table.add(3, makeKeypair(1)));
});

test("a keypair that is gone leaves no entry behind", () => {
  const memory = makeMemory();
  const table = new KeypairTable(memory, (release) => release());
  for (let i = 0; i < 1000; i++) {
    const keypair = makeKeypair(7);
    assert.ok(table.add(0, keypair), `the bucket was full after ${i}`);
    table.remove(keypair);
  }
});

test("a replay window is found once a message has come, is the keypair's own, and is empty for the next one", () => {
  const memory = makeMemory();
  const table = new KeypairTable(memory, (release) => release());
  const keypairs = Array.from({ length: memory.keypairSlots }, (_, i) => makeKeypair(i + 1));
  for (const keypair of keypairs) table.add(0, keypair);
  const record = (keypair: Keypair) => memory.findKeypair(keypair.localIndex);
  const field = (keypair: Keypair) => memory.words[(record(keypair) + KeypairRecord.replayWindow) >> 2];
  for (const [i, keypair] of keypairs.entries()) {
    if (i % 2 === 1) continue;
    assert.equal(field(keypair), 0, "no page is touched before");
    assert.ok(acceptCounter(memory.words, memory.replayWindow(record(keypair)), 8000 + i));
  }
  for (const [i, keypair] of keypairs.entries()) {
    for (const counter of i % 2 === 0 ? [8000 + i] : []) {
      assert.ok(!acceptCounter(memory.words, memory.replayWindow(record(keypair)), counter));
    }
    assert.equal(field(keypair) === 0, i % 2 === 1);
  }
  const [first] = keypairs;
  const window = field(first);
  table.remove(first);
  const successor = makeKeypair(5000);
  table.add(0, successor);
  assert.equal(field(successor), 0);
  assert.equal(memory.replayWindow(record(successor)), window, "the slot was used again");
  assert.ok(memory.words.subarray(window, window + replayWindowWords).every((word) => word === 0));
});

test("keys are withdrawn at once and erased only when no worker can hold them", () => {
  const memory = makeMemory();
  const reclaimer = new Reclaimer(memory);
  const table = new KeypairTable(memory, (release) => reclaimer.retire(release));
  const outbound = new Reader(memory, "outbound");
  const keypair = makeKeypair(5);
  table.add(0, keypair);
  table.select(0, keypair);
  outbound.enter();
  table.select(0, undefined);
  table.remove(keypair);
  assert.equal(memory.words[(memory.peer(0) + PeerRecord.sendingKeypair) >> 2], 0);
  assert.equal(memory.findKeypair(5), -1);
  assert.ok(
    keypair.sendKey.every((byte) => byte === 0),
    "main's own copy outlived the keypair",
  );
  assert.equal(reclaimer.collect(), 1);
  assert.ok(findKey(memory, 1) >= 0, "the key went while a worker was in a batch that may hold it");
  outbound.enter();
  assert.equal(reclaimer.collect(), 0);
  assert.equal(findKey(memory, 1), -1, "the key outlived its last reader");
});

test("a parked worker holds nothing up, and one that enters later does not either", () => {
  const memory = makeMemory();
  const reclaimer = new Reclaimer(memory);
  const [outbound, inbound] = [new Reader(memory, "outbound"), new Reader(memory, "inbound")];
  let released = 0;
  inbound.enter();
  reclaimer.retire(() => released++);
  assert.equal(released, 0);
  outbound.enter(); // after the withdrawal: cannot have seen what was withdrawn
  reclaimer.collect();
  assert.equal(released, 0);
  inbound.park();
  reclaimer.collect();
  assert.equal(released, 1);
});

test("ending erases every key there is", () => {
  const memory = makeMemory();
  const table = new KeypairTable(memory, (release) => release());
  const keypair = makeKeypair(5);
  table.add(0, keypair);
  table.eraseAll();
  assert.equal(findKey(memory, 1), -1);
  assert.equal(findKey(memory, 2), -1);
  assert.ok(keypair.receiveKey.every((byte) => byte === 0));
});

test("the responder's keypair waits for its first message, the initiator's does not", () => {
  const memory = makeMemory();
  const table = new KeypairTable(memory, (release) => release());
  table.add(0, makeKeypair(5, true));
  table.add(0, makeKeypair(6, false));
  const word = (index: number, field: number) => memory.words[(memory.findKeypair(index) + field) >> 2];
  assert.deepEqual([word(5, KeypairRecord.confirmed), word(6, KeypairRecord.confirmed)], [1, 0]);
  const float = (index: number, field: number) => memory.floats[(memory.findKeypair(index) + field) >> 3];
  assert.equal(float(5, KeypairRecord.rekeySendingAt), 121_000);
  assert.equal(float(5, KeypairRecord.rekeyReceivingAt), 166_000);
  assert.equal(float(6, KeypairRecord.rekeySendingAt), Number.POSITIVE_INFINITY);
  assert.equal(float(6, KeypairRecord.rejectAt), 181_000);
});

test("a peer's number is given again only once it is free, with a clean record", () => {
  const memory = makeMemory();
  const waiting: (() => void)[] = [];
  const peers = new PeerTable(memory, layout.maximumPeers, (release) => waiting.push(release));
  const ids = Array.from({ length: layout.maximumPeers }, () => peers.add());
  assert.throws(() => peers.add(), { code: "not-available" });
  peers.activity(ids[2]).sentAt = 5;
  peers.setEndpoint(ids[2], new Uint8Array(16).fill(7));
  peers.remove(ids[2]);
  assert.throws(() => peers.add(), { code: "not-available" });
  for (const release of waiting) release();
  assert.equal(peers.add(), ids[2]);
  assert.equal(peers.activity(ids[2]).sentAt, 0);
  const record = memory.peer(ids[2]);
  assert.ok(memory.words[(record + PeerRecord.endpointVersion) >> 2] > 2, "its version goes on");
  assert.equal(memory.generation(ids[2]), 1, "what was asked for its predecessor is told apart");
  memory.words[(record + PeerRecord.endpointVersion) >> 2] = 0;
  memory.words[(record + PeerRecord.generation) >> 2] = 0;
  assert.ok(memory.bytes.subarray(record, record + PeerRecord.size).every((byte) => byte === 0));
});
