import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { replaceFile } from "../../../src/os/durable-file.ts";
import { fillDisk, smallDisk } from "../../small-disk.ts";

const rights = { mode: 0o600 };

test("a full disk keeps the former content, and leaves nothing beside it", (t) => {
  const folder = smallDisk(t);
  if (folder === undefined) return;
  const path = join(folder, "wg0.conf");
  const former = "as it was\n".repeat(1000);
  replaceFile(path, former, rights);
  for (const pagesLeft of [0, 1, 2]) {
    fillDisk(folder, pagesLeft);
    assert.throws(() => replaceFile(path, former.replaceAll("was", "is!"), rights), /cannot write .* \(ENOSPC\)/);
    assert.equal(readFileSync(path, "utf8"), former);
    assert.deepEqual(readdirSync(folder).sort(), ["fill", "wg0.conf"]);
  }
});

test("a mount point whose disk is full is written in place where there is room, and else stays as it was", (t) => {
  const [folder, etc] = [smallDisk(t), smallDisk(t)];
  if (folder === undefined || etc === undefined) return;
  const source = join(folder, "source");
  const path = join(etc, "resolv.conf");
  const former = "nameserver 203.0.113.53\n";
  for (const file of [source, path]) writeFileSync(file, former);
  execFileSync("mount", ["--bind", source, path]);
  fillDisk(folder, 0);
  const longer = "nameserver 10.8.0.2 # longer by more than a page\n".repeat(200);
  assert.throws(() => replaceFile(path, longer, rights), /cannot write .* \(ENOSPC\)/);
  assert.equal(readFileSync(path, "utf8"), former);
  for (const content of ["short\n", "a little longer\n", ""]) {
    replaceFile(path, content, rights);
    assert.equal(readFileSync(source, "utf8"), content);
  }
  fillDisk(folder, 4);
  replaceFile(path, longer, rights);
  assert.equal(readFileSync(source, "utf8"), longer);
  assert.deepEqual(readdirSync(etc), ["resolv.conf"]);
});
