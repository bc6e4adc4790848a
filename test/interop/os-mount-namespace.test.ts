import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MountNamespace, mountFile, mountMemory } from "../../src/os/mount-namespace.ts";
import { requireNamespaces } from "../requirements.ts";

test("what is mounted inside is seen there alone, and by what is started there", (t) => {
  if (!requireNamespaces(t)) return;
  const folder = mkdtempSync(join(tmpdir(), "warren-lab-mounts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "outside"), "");
  const before = workingFolder();
  using one = MountNamespace.create();
  using other = MountNamespace.create();
  for (const [namespace, name] of [
    [one, "first"],
    [other, "second"],
  ] as const) {
    namespace.run(() => {
      mountMemory(folder);
      writeFileSync(join(folder, name), name);
    });
  }
  assert.deepEqual([existsSync(join(folder, "outside")), existsSync(join(folder, "first"))], [true, false]);
  assert.equal(
    one.run(() => readFileSync(join(folder, "first"), "utf8")),
    "first",
  );
  assert.equal(
    other.run(() => existsSync(join(folder, "first"))),
    false,
  );
  assert.equal(one.run(() => spawnSync("ls", [folder], { encoding: "utf8" })).stdout, "first\n");
  assert.equal(workingFolder(), before);
});

test("a file takes the place of another inside alone, and an error leads outside as well", (t) => {
  if (!requireNamespaces(t)) return;
  const folder = mkdtempSync(join(tmpdir(), "warren-lab-mounts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [real, own] = ["real", "own"].map((name) => join(folder, name));
  writeFileSync(real, "real");
  writeFileSync(own, "own");
  using namespace = MountNamespace.create();
  assert.equal(
    namespace.run(() => {
      mountFile(own, real);
      return readFileSync(real, "utf8");
    }),
    "own",
  );
  assert.throws(() => namespace.run(() => mountFile(own, join(folder, "missing"))), { code: "not-available" });
  assert.equal(readFileSync(real, "utf8"), "real");
});

/** As the kernel has it: Node remembers what it was. */
function workingFolder(): string {
  return readlinkSync("/proc/thread-self/cwd");
}
