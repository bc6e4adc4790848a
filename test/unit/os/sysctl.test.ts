import assert from "node:assert/strict";
import { test } from "node:test";
import { VpnError } from "../../../src/base/errors.ts";
import { Sysctl } from "../../../src/os/sysctl.ts";

test("a parameter is read by its path", () => {
  assert.equal(Sysctl.get("kernel/ostype"), "Linux");
});

test("a parameter that is not there, or not one, says what to do", () => {
  assert.throws(
    () => Sysctl.get("net/ipv4/conf/nowhere/forwarding"),
    (error) => error instanceof VpnError && error.code === "not-available" && /interface gone/.test(error.line),
  );
  for (const path of ["../self/comm", "net/../../self/comm", "/etc/passwd", "net.ipv4.ip_forward", ""]) {
    assert.throws(
      () => Sysctl.get(path),
      (error) => error instanceof VpnError && error.code === "invalid-argument",
      path,
    );
  }
});
