import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr } from "../../../src/base/address.ts";
import { concatBytes, fromHex, toHex } from "../../../src/base/bytes.ts";
import { decodeAttributes, decodeMessages } from "../../../src/os/netlink-message.ts";
import { encodeDeletion, encodeTable } from "../../../src/os/nftables-message.ts";
import { Action, Match } from "../../../src/os/nftables-rule.ts";

const hex = (text: string) => toHex(fromHex(text.replaceAll(" ", "")) ?? assert.fail("not hexadecimal"));

test("a verdict is an immediate value for register 0", () => {
  const expected =
    "0e000100 696d6d65646961746500 0000" + // "immediate"
    "1c000280 08000100 00000000 10000280 0c000280 08000100 00000001"; // register 0, data, verdict, NF_ACCEPT
  assert.equal(toHex(Action.accept), hex(expected));
});

test("masquerading has no data", () => {
  assert.equal(toHex(Action.masquerade), hex("09000100 6d61737100 000000"));
});

test("a prefix is matched by its family, and by its masked bytes", () => {
  const steps = Match.source(Cidr.parse("10.8.15.255/20"));
  const names = steps.map((step) => Buffer.from(decodeAttributes(step).get(1) ?? []).toString());
  assert.deepEqual(names, ["meta\0", "cmp\0", "payload\0", "bitwise\0", "cmp\0"]);
  const data = (step: number) => decodeAttributes(decodeAttributes(steps[step]).get(2) ?? new Uint8Array());
  assert.equal(toHex(data(2).get(3) ?? new Uint8Array()), "0000000c", "the offset of an IPv4 source");
  assert.equal(toHex(data(3).get(4) ?? new Uint8Array()), hex("08000100 fffff000"), "the mask");
  assert.equal(toHex(data(4).get(3) ?? new Uint8Array()), hex("08000100 0a080000"), "the network");
});

test("a mask ends at the prefix also in the middle of an IPv6 address", () => {
  const steps = Match.destination(Cidr.parse("fd00::/61"));
  const bitwise = decodeAttributes(decodeAttributes(steps[3]).get(2) ?? new Uint8Array());
  const expected = `14000100${"ff".repeat(7)}f8${"00".repeat(8)}`;
  assert.equal(toHex(bitwise.get(4) ?? new Uint8Array()), expected);
});

test("a table is one batch: table, chains, rules, each acknowledged and numbered", () => {
  const rule = [...Match.inputInterface("wg0"), Action.drop];
  const layout = {
    name: "warren",
    chains: [{ name: "forward", kind: "filter", hook: "forward", priority: -10, rules: [rule, rule] }],
  } as const;
  const { bytes, last } = encodeTable(layout, { ownership: "socket" });
  const messages = decodeMessages(bytes);
  assert.deepEqual(
    messages.map(({ type, flags, sequence }) => [type, flags & 0x5, sequence]),
    [
      [0x10, 1, 0],
      [0xa00, 5, 1],
      [0xa03, 5, 2],
      [0xa06, 5, 3],
      [0xa06, 5, 4],
      [0x11, 1, 5],
    ],
  );
  assert.equal(last, 4);
  assert.equal(toHex(messages[0].body), "0000000a", "the batch names its subsystem");
  const table = decodeAttributes(messages[1].body, 4);
  assert.equal(toHex(table.get(2) ?? new Uint8Array()), "00000002", "owned");
  const hook = decodeAttributes(decodeAttributes(messages[2].body, 4).get(4) ?? new Uint8Array());
  assert.equal(toHex(concatBytes(...hook.values())), hex("00000002 fffffff6"), "forward, priority -10");
});

test("a table that is not owned says so, and a deletion names it", () => {
  const messages = decodeMessages(encodeTable({ name: "t", chains: [] }, { ownership: "nobody" }).bytes);
  assert.equal(toHex(decodeAttributes(messages[1].body, 4).get(2) ?? new Uint8Array()), "00000000");
  const deletion = decodeMessages(encodeDeletion("t").bytes);
  assert.deepEqual(
    deletion.map(({ type }) => type),
    [0x10, 0xa02, 0x11],
  );
});
