import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../../src/base/bytes.ts";
import { assemble, everyPacket, udpPackets } from "../../../src/os/packet-filter.ts";

test("a program is 8 bytes an instruction, in the machine's order", () => {
  assert.equal(toHex(assemble(everyPacket(0x1234))), "0600000034120000");
});

test("a test skips to the step it names, a jump by its number", () => {
  const filter = [
    { code: "ifEqual", k: 5, yes: "end", no: "middle" },
    { code: "jump", k: 0, yes: "end" },
    { label: "middle", code: "setX", k: -1 },
    { label: "end", code: "give", k: 0 },
  ] as const;
  assert.equal(
    toHex(assemble(filter)),
    "1500020105000000" + "0500000001000000" + "01000000ffffffff" + "0600000000000000",
  );
});

test("a step that is not there is a mistake of the program", () => {
  assert.throws(() => assemble([{ code: "jump", k: 0, yes: "nowhere" }]), /has no step nowhere/);
});

test("every test of the filter for UDP leads forward, and not past its end", () => {
  const program = assemble(udpPackets(51_820, 512));
  for (let at = 0; at < program.length; at += 8) {
    const left = (program.length - at) / 8 - 1;
    assert.ok(program[at + 2] <= left && program[at + 3] <= left);
  }
});
