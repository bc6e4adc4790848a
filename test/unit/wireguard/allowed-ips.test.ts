import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, IpAddress } from "../../../src/base/address.ts";
import { VpnError } from "../../../src/base/errors.ts";
import { AllowedIps, allowedIpsNodeWords } from "../../../src/wireguard/allowed-ips.ts";
import { workMs } from "../../work-time.ts";

function makeTable(nodes = 100, retire?: (release: () => void) => void) {
  const words = new Int32Array((nodes + 1) * allowedIpsNodeWords);
  const table = new AllowedIps(words, retire);
  const find = (text: string, reader = table) => {
    const address = IpAddress.parse(text);
    const bytes = Uint8Array.of(0xff, ...address.bytes, 0xff);
    return reader.lookup(bytes, 1, address.family);
  };
  const insert = (text: string, peerId: number) => table.insert(Cidr.parse(text), peerId);
  const remove = (text: string, peerId: number) => table.remove(Cidr.parse(text), peerId);
  return { words, table, find, insert, remove };
}

test("the longest prefix wins, in both families, whatever the order of insertion", () => {
  const prefixes: [string, number][] = [
    ["0.0.0.0/0", 0],
    ["10.0.0.0/8", 1],
    ["10.1.0.0/16", 2],
    ["10.1.2.3/32", 3],
    ["128.0.0.0/1", 4],
    ["::/0", 5],
    ["2001:db8::/32", 6],
    ["2001:db8:0:1::/64", 7],
    ["2001:db8:0:1::9/128", 8],
    ["2001:db8:0:1:8000::/65", 9],
  ];
  for (const ordered of [prefixes, prefixes.toReversed()]) {
    const { find, insert } = makeTable();
    for (const [prefix, peerId] of ordered) insert(prefix, peerId);
    const expected: [string, number][] = [
      ["9.9.9.9", 0],
      ["10.9.9.9", 1],
      ["10.1.9.9", 2],
      ["10.1.2.3", 3],
      ["200.1.2.3", 4],
      ["127.255.255.255", 0],
      ["::1", 5],
      ["2001:db8:ffff::", 6],
      ["2001:db8:0:1:7fff::1", 7],
      ["2001:db8:0:1::9", 8],
      ["2001:db8:0:1:8000::9", 9],
    ];
    for (const [address, peerId] of expected) assert.equal(find(address), peerId, address);
  }
});

test("an empty table knows nobody, and host bits of a prefix do not matter", () => {
  const { table, find, insert } = makeTable();
  assert.equal(find("10.0.0.1"), -1);
  assert.equal(find("::"), -1);
  insert("10.0.0.77/24", 3);
  assert.equal(find("10.0.0.1"), 3);
  assert.deepEqual(Array.from(table.entries(3), String), ["10.0.0.0/24"]);
});

test("a prefix given to another peer moves; removal by who does not have it does nothing", () => {
  const { table, find, insert, remove } = makeTable();
  insert("10.0.0.0/24", 1);
  insert("10.0.0.0/24", 2);
  assert.equal(find("10.0.0.5"), 2);
  assert.equal(table.entries(1).length, 0);
  remove("10.0.0.0/24", 1);
  assert.equal(find("10.0.0.5"), 2);
  remove("10.0.0.0/24", 2);
  assert.equal(find("10.0.0.5"), -1);
});

test("removing a peer leaves the others, and uncovers what its prefixes covered", () => {
  const { table, find, insert } = makeTable();
  insert("0.0.0.0/0", 1);
  insert("10.0.0.0/8", 2);
  insert("10.1.0.0/16", 1);
  insert("fd00::/8", 2);
  table.removePeer(2);
  assert.equal(find("10.9.9.9"), 1);
  assert.equal(find("10.1.9.9"), 1);
  assert.equal(find("fd00::1"), -1);
  assert.equal(table.entries(2).length, 0);
  assert.deepEqual(Array.from(table.entries(1), String), ["0.0.0.0/0", "10.1.0.0/16"]);
});

test("a full table says so, changes nothing, and has room again after a removal", () => {
  const { table, find, insert, remove } = makeTable(3);
  insert("10.0.0.0/32", 1);
  insert("10.0.0.1/32", 2); // two leaves and their branch
  assert.throws(
    () => insert("10.0.0.2/32", 3),
    (error) => error instanceof VpnError && error.code === "not-available",
  );
  assert.equal(find("10.0.0.2"), -1);
  assert.equal(table.entries(3).length, 0);
  insert("10.0.0.1/32", 3); // needs no node
  remove("10.0.0.0/32", 1);
  insert("::1/128", 4);
  assert.equal(find("10.0.0.1"), 3);
  assert.equal(find("::1"), 4);
});

test("nodes are not used again before the readers are gone, and a reader inside goes on in the old table", () => {
  const releases: (() => void)[] = [];
  const { words, find, insert, remove } = makeTable(3, (release) => releases.push(release));
  insert("10.0.0.0/32", 1);
  insert("10.0.0.1/32", 2);
  const before = words.slice();
  remove("10.0.0.0/32", 1);
  assert.throws(() => insert("::1/128", 4), VpnError);
  const node = before[0] * allowedIpsNodeWords; // the branch that a reader may be in
  assert.deepEqual(words.subarray(node, node + 7), before.subarray(node, node + 7));
  assert.equal(releases.length, 1);
  releases[0]();
  insert("::1/128", 4);
  assert.equal(find("::1"), 4);
});

test("a reader over the same words sees each change at once", () => {
  const { words, find, insert, remove } = makeTable();
  const reader = new AllowedIps(words);
  insert("10.0.0.0/24", 1);
  assert.equal(find("10.0.0.9", reader), 1);
  remove("10.0.0.0/24", 1);
  assert.equal(find("10.0.0.9", reader), -1);
});

test("every change is one store away from the next: no state in between misleads a reader", () => {
  const { words, find, insert, remove } = makeTable();
  const store = Atomics.store;
  const seen: number[] = [];
  insert("10.0.0.0/8", 1);
  insert("10.1.0.0/16", 2);
  insert("10.2.0.0/16", 3);
  const watched = ["10.1.0.1", "10.2.0.1", "10.3.0.1"];
  const constant = () => watched.map((address) => find(address)).join();
  const expected = constant();
  Atomics.store = ((array: Int32Array, index: number, value: number) => {
    seen.push(index);
    assert.equal(constant(), expected, "before the store");
    const result = store(array, index, value);
    assert.equal(constant(), expected, "after the store");
    return result;
  }) as typeof Atomics.store;
  try {
    insert("10.1.128.0/17", 4);
    insert("10.1.192.0/18", 4);
    insert("10.4.0.0/16", 5);
    insert("8.0.0.0/5", 6); // above a node that is there
    remove("10.1.192.0/18", 4);
    remove("10.4.0.0/16", 5);
    remove("10.1.128.0/17", 4);
  } finally {
    Atomics.store = store;
  }
  assert.ok(seen.length >= 6);
  assert.ok(seen.every((index) => index < words.length));
});

test("65,000 prefixes go in, are found and come out, well within a second each", () => {
  const count = 65_000;
  const { table } = makeTable(2 * count);
  const prefixes = Array.from({ length: count }, (_, i) => {
    const address = new IpAddress(Uint8Array.of(10, i >> 16, i >> 8, i));
    return new Cidr(address, 32);
  });
  const startedAt = workMs();
  for (const [i, cidr] of prefixes.entries()) table.insert(cidr, i % 100);
  const bytes = Uint8Array.of(10, 0, 200, 77);
  assert.equal(table.lookup(bytes, 0, 4), (200 * 256 + 77) % 100);
  for (let peerId = 0; peerId < 100; peerId++) table.removePeer(peerId);
  assert.equal(table.lookup(bytes, 0, 4), -1);
  const elapsedMs = workMs() - startedAt;
  assert.ok(elapsedMs < 2_000, `${elapsedMs} ms`);
});

test("what a peer had at one moment stays listed, whatever becomes of the table, in the space of bytes", () => {
  const table = new AllowedIps(new Int32Array(1 << 20));
  const cidrs = Array.from(
    { length: 20_000 },
    (_, i) =>
      Cidr.parse(i % 3 === 0 ? `fd00::${i.toString(16)}/${64 + (i % 65)}` : `10.${i >> 8}.${i & 255}.0/24`).network,
  );
  for (const cidr of cidrs) table.insert(cidr, 1);
  const distinct = [...new Set(cidrs.map(String))];
  const list = table.entries(1);
  table.removePeer(1);
  for (const cidr of cidrs.slice(0, 100)) table.insert(cidr, 2);
  assert.equal(table.entries(1).length, 0);
  assert.equal(list.length, distinct.length);
  assert.deepEqual(Array.from(list, String).sort(), distinct.sort());
  assert.deepEqual(Array.from(list, String).sort(), distinct, "it can be read twice");
});
