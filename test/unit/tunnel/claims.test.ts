import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { VpnError } from "../../../src/base/errors.ts";
import { Claims } from "../../../src/tunnel/claims.ts";
import { fillDisk, smallDisk } from "../../small-disk.ts";

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "warren-claims-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Values in memory, and the claims on them, on the disk, as another process would find them. */
function scene(t: TestContext, folder = temporaryFolder(t)) {
  const values = new Map([["forwarding", "0"]]);
  const path = join(folder, "kept/claims.json");
  const claims = (boot = "this") =>
    new Claims<string>(path, boot, {
      read: (resource) => values.get(resource) ?? "",
      write: (resource, value) => void values.set(resource, value),
      same: (a, b) => a === b,
    });
  return { values, path, claims, value: () => values.get("forwarding") };
}

test("the last one who gives up restores what there was", (t) => {
  const { claims, value, path } = scene(t);
  claims().take("forwarding", "wg0", "1");
  claims().take("forwarding", "wg1", "2");
  assert.equal(value(), "2");
  claims().release("forwarding", "wg0");
  assert.equal(value(), "2");
  claims().release("forwarding", "wg1");
  assert.equal(value(), "0");
  assert.equal(existsSync(path), false);
});

test("whoever remains has it as he wants it", (t) => {
  const { claims, value } = scene(t);
  claims().take("forwarding", "wg0", "1");
  claims().take("forwarding", "wg1", "2");
  claims().release("forwarding", "wg1");
  assert.equal(value(), "1");
  claims().release("forwarding", "wg1");
  assert.equal(value(), "1", "nothing is given up twice");
  claims().release("forwarding", "wg0");
  assert.equal(value(), "0");
});

test("a claim is renewed in its owner's name, and counts once", (t) => {
  const { claims, value, path } = scene(t);
  for (const wanted of ["1", "2"]) claims().take("forwarding", "wg0", wanted);
  assert.equal(readFileSync(path, "utf8").match(/"by":"wg0"/g)?.length, 1);
  assert.equal(value(), "2");
  claims().release("forwarding", "wg0");
  assert.equal(value(), "0");
});

test("what somebody else has changed is left alone", (t) => {
  const { claims, values, value } = scene(t);
  claims().take("forwarding", "wg0", "1");
  values.set("forwarding", "7");
  claims().release("forwarding", "wg0");
  assert.equal(value(), "7");
});

test("claims of a former run of the machine are given up, and undone where a restart does not undo them", (t) => {
  for (const [isLasting, expected] of [
    [true, "0"],
    [false, "1"],
  ] as const) {
    const { claims, value, path } = scene(t);
    claims("former").take("forwarding", "wg0", "1");
    claims("this").recover(isLasting);
    assert.equal(value(), expected);
    assert.equal(existsSync(path), false);
  }
  const { claims, value, path } = scene(t);
  claims().take("forwarding", "wg0", "1");
  writeFileSync(`${path}.warren`, "cut off");
  claims().recover(true);
  assert.equal(existsSync(`${path}.warren`), false, "what a crash left is cleared away");
  assert.equal(value(), "1", "those of this run stay");
});

test("claims that cannot be read are named, and stay as they are", (t) => {
  const { claims, value, path } = scene(t);
  claims().take("forwarding", "wg0", "1");
  const whole = readFileSync(path, "utf8");
  for (const spoilt of [
    whole.slice(0, -9),
    "",
    "null",
    "5",
    "[]",
    '{"forwarding":null}',
    '{"forwarding":{"claims":[]}}',
  ]) {
    writeFileSync(path, spoilt);
    for (const use of [
      () => claims().take("forwarding", "wg1", "2"),
      () => claims().release("forwarding", "wg0"),
      () => claims().recover(true),
    ]) {
      assert.throws(
        use,
        (error) => error instanceof VpnError && error.line.startsWith(`${path} cannot be read any more`),
        spoilt,
      );
    }
    assert.deepEqual([readFileSync(path, "utf8"), value()], [spoilt, "1"]);
  }
});

test("on a full disk nothing more is claimed, and what was is given up", (t) => {
  const disk = smallDisk(t);
  if (disk === undefined) return;
  const { claims, value, path } = scene(t, disk);
  claims().take("forwarding", "wg0", "1");
  claims().take("forwarding", "wg1", "2");
  const before = readFileSync(path, "utf8");
  fillDisk(disk, 0);
  assert.throws(() => claims().take("forwarding", "wg2", "3"), /cannot write .* \(ENOSPC\)/);
  assert.deepEqual([readFileSync(path, "utf8"), value()], [before, "2"]);
  claims().release("forwarding", "wg1");
  assert.equal(value(), "1");
  claims().release("forwarding", "wg0");
  assert.deepEqual([existsSync(path), value()], [false, "0"]);
});
