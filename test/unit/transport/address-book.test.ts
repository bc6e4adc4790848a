import assert from "node:assert/strict";
import { test } from "node:test";
import { IpAddress } from "../../../src/base/address.ts";
import { AddressBook, addressesPerConnection } from "../../../src/transport/address-book.ts";

/** A header with these two addresses. */
function packet(source: string, destination: string): Uint8Array {
  const from = IpAddress.parse(source);
  const bytes = new Uint8Array(40);
  bytes[0] = from.family === 4 ? 0x45 : 0x60;
  const at = from.family === 4 ? 12 : 8;
  bytes.set(from.bytes, at);
  bytes.set(IpAddress.parse(destination).bytes, at + from.bytes.length);
  return bytes;
}

const from = (address: string) => packet(address, address.includes(":") ? "fd08::1" : "10.8.0.1");
const to = (address: string) => packet(address.includes(":") ? "fd08::1" : "10.8.0.1", address);

test("whoever sends from an address first has it until it is released", () => {
  const book = new AddressBook(3);
  for (const address of ["10.8.0.2", "fd08::2"]) {
    assert.equal(book.destinationOf(to(address), 0), -1);
    assert.deepEqual(book.claimSource(from(address), 0, 2), { kind: "learnt", address: IpAddress.parse(address) });
    assert.deepEqual(book.claimSource(from(address), 0, 2), { kind: "own" });
    assert.equal(book.destinationOf(to(address), 0), 2);
    const taken = { kind: "taken", address: IpAddress.parse(address), owner: 2 };
    assert.deepEqual(book.claimSource(from(address), 0, 1), taken);
  }
  book.release(2);
  assert.equal(book.destinationOf(to("10.8.0.2"), 0), -1);
  assert.equal(book.claimSource(from("10.8.0.2"), 0, 1).kind, "learnt");
  assert.equal(book.destinationOf(to("10.8.0.2"), 0), 1);
});

test("addresses that differ in any word are different", () => {
  const book = new AddressBook(4);
  const addresses = ["fd08:0:0:1::2", "fd08::2:0:0:2", "fd08::2", "fd09::2"];
  for (const [i, address] of addresses.entries()) book.claimSource(from(address), 0, i);
  assert.deepEqual(
    addresses.map((address) => book.destinationOf(to(address), 0)),
    [0, 1, 2, 3],
  );
});

test("a connection has a few addresses and no more", () => {
  const book = new AddressBook(2);
  for (let i = 0; i < addressesPerConnection; i++) {
    assert.equal(book.claimSource(from(`10.8.0.${i + 2}`), 0, 0).kind, "learnt");
  }
  assert.equal(book.claimSource(from("10.8.0.99"), 0, 0).kind, "too-many");
  assert.equal(book.claimSource(from("10.8.0.99"), 0, 1).kind, "learnt");
});

test("the unspecified address is everybody's and nobody's", () => {
  const book = new AddressBook(2);
  for (const address of ["::", "0.0.0.0"]) {
    assert.equal(book.claimSource(from(address), 0, 0).kind, "own");
    assert.equal(book.claimSource(from(address), 0, 1).kind, "own");
    assert.equal(book.destinationOf(to(address), 0), -1);
  }
});
