import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { descriptorIn, readConfig } from "../../../src/cli/config-source.ts";

test("a file that is read again and again leaves no descriptor open", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "warren-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "wg0.conf");
  writeFileSync(path, "[Interface]\nPrivateKey = AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n", { mode: 0o600 });
  const open = () => readdirSync("/proc/self/fd").length;
  const before = open();
  for (let round = 0; round < 20; round++) assert.equal((await readConfig(path)).name, "wg0");
  assert.equal(open(), before);
});

test("a shell's descriptor is known by its path", () => {
  assert.deepEqual(["/dev/fd/63", "/proc/self/fd/3", "/dev/fd/0"].map(descriptorIn), [63, 3, 0]);
  assert.deepEqual(
    ["-", "/dev/fd/x", "/dev/fd/63/..", "/dev/stdin", "wg0"].map(descriptorIn),
    Array(5).fill(undefined),
  );
});
