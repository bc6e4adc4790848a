import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultGuestLimits, type Guest, GuestList } from "../../../src/transport/guest-list.ts";
import { MemoryLink } from "../../../src/transport/memory-link.ts";
import { Inbox } from "./link-ends.ts";
import { VirtualClock } from "./virtual-clock.ts";

const clock = new VirtualClock();

function link(): MemoryLink {
  return MemoryLink.pair({ clock, random: () => 0.5 })[0];
}

/** A list, and who has been sent away from it. */
function open(limits: Partial<typeof defaultGuestLimits> = {}) {
  const list = new GuestList({ ...defaultGuestLimits, ...limits });
  const gone: string[] = [];
  const admit = (name: string, address = "192.0.2.1", now = 0): Guest | undefined =>
    list.admit(now, address, () => gone.push(name));
  return { list, gone, admit };
}

test("who says nothing in time has to go, and so has who has looked for long enough", () => {
  const { list, gone, admit } = open();
  admit("silent");
  admit("visitor")?.visit(5000);
  list.expire(9999);
  assert.deepEqual(gone, []);
  list.expire(10_000);
  assert.deepEqual(gone, ["silent"]);
  list.expire(35_000);
  assert.deepEqual(gone, ["silent", "visitor"]);
  assert.equal(list.size, 0);
  assert.equal(list.faults.late, 1);
  assert.equal(list.faults["visit-over"], 1);
});

test("a link that the tunnel never answers has to go; one that it has answered lives by its own limits", async () => {
  const { list, gone, admit } = open();
  const [stranger, peer] = [link(), link()];
  const [strangers, peers] = [new Inbox(stranger), new Inbox(peer)];
  await Promise.resolve();
  admit("stranger")?.bring(0, stranger);
  const guest = admit("peer");
  guest?.bring(0, peer);
  guest?.answered();
  list.expire(0);
  list.expire(60_000);
  assert.deepEqual(gone, ["stranger"]);
  assert.equal(strangers.reason, "unanswered");
  assert.equal(peers.reason, undefined);
  list.expire(600_000);
  assert.equal(peers.reason, "idle");
});

test("strangers make room for each other, the oldest first, and who counts stays", async () => {
  const { list, gone, admit } = open({ guests: 3 });
  const peer = admit("peer", "192.0.2.1");
  peer?.bring(0, link());
  peer?.answered();
  admit("first", "192.0.2.2");
  const brought = link();
  const inbox = new Inbox(brought);
  await Promise.resolve();
  admit("second", "192.0.2.3")?.bring(0, brought);
  for (const name of ["third", "fourth", "fifth"]) assert.ok(admit(name, "192.0.2.4"), name);
  assert.deepEqual(gone, ["first", "second", "third"]);
  assert.equal(inbox.reason, "crowded-out");
  assert.equal(list.faults["crowded-out"], 3);
  assert.equal(list.size, 3);
});

test("where all count there is no place for anybody else", () => {
  const { list, gone, admit } = open({ guests: 2 });
  for (const address of ["192.0.2.1", "192.0.2.2"]) {
    const guest = admit(address, address);
    guest?.bring(0, link());
    guest?.answered();
  }
  assert.equal(admit("late", "192.0.2.3"), undefined);
  assert.deepEqual(gone, []);
  assert.equal(list.faults.crowded, 1);
});

test("a source has so many places: an IPv4 address, or an IPv6 /64, but not loopback", () => {
  for (const [addresses, admitted] of [
    [["192.0.2.1", "192.0.2.1", "192.0.2.1"], 2],
    [["192.0.2.1", "192.0.2.2", "192.0.2.3"], 3],
    [["2001:db8::1", "2001:db8::2", "2001:db8::3:4:5:6"], 2],
    [["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], 3],
    [["fe80::1%eth0", "fe80::2%eth0", "fe80::3%eth0"], 2],
    [["127.0.0.1", "127.0.0.1", "127.0.0.1"], 3],
    [["::1", "::1", "::1"], 3],
  ] satisfies [string[], number][]) {
    const { list, admit } = open({ guestsPerSource: 2 });
    assert.equal(addresses.map((address) => admit(address, address)).filter(Boolean).length, admitted, addresses[0]);
    assert.equal(list.faults["source-crowded"], 3 - admitted);
  }
});

test("who leaves gives the place back, once", () => {
  const { list, admit } = open({ guestsPerSource: 2 });
  const guest = admit("one");
  admit("two");
  assert.equal(admit("three"), undefined);
  guest?.leave();
  guest?.leave();
  assert.ok(admit("three"));
  assert.equal(admit("four"), undefined);
  assert.equal(list.size, 2);
});
