import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseTunnelName } from "../../../src/tunnel/tunnel-name.ts";

test("a name is taken that is safe in a path and in a command, and no other", () => {
  for (const name of ["wg0", "a", "0", "my_vpn=1+2.-x", "fifteen-letters"]) assert.equal(chooseTunnelName(name), name);
  for (const name of ["", ".", "..", "a/b", "a b", "-u", "--help", "sixteen--letters", "wg0\n", "wg\0", "é"]) {
    assert.throws(() => chooseTunnelName(name), { code: "invalid-argument" }, JSON.stringify(name));
  }
});
