import assert from "node:assert/strict";
import { test } from "node:test";
import { dropReasons, VpnError } from "../../../src/base/errors.ts";

test("an error's line says what failed and what to do", () => {
  const cause = new Error("errno 1");
  const error = new VpnError("not-permitted", "opening /dev/net/tun failed", { remedy: "run as root", cause });
  assert.equal(error.line, "opening /dev/net/tun failed: run as root");
  assert.equal(error.code, "not-permitted");
  assert.equal(error.cause, cause);
  assert.equal(error.name, "VpnError");
  assert.equal(new VpnError("worker-failed", "outbound").line, "outbound");
});

test("drop reasons have one place each in the counter tables", () => {
  assert.equal(new Set(dropReasons).size, dropReasons.length);
  assert.equal(dropReasons[0], "message-too-short");
  assert.equal(dropReasons.indexOf("peer-no-endpoint"), 22, "append only: positions are kept");
});
