import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { filePlace } from "../../../src/os/file-place.ts";
import { claimFile, undoDeed } from "../../../src/tunnel/deed.ts";
import { requireNamespaces, requireProgram } from "../../requirements.ts";

function scene(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "warren-claimed-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const folders = { run: join(folder, "run"), lasting: join(folder, "lasting") };
  const path = join(folder, "resolv.conf");
  const context = (tunnel: string) => ({ tunnel, folders });
  return {
    path,
    folder,
    claim: (tunnel: string, content: string) => claimFile(context(tunnel), path, content),
    giveUp: (tunnel: string) => undoDeed(context(tunnel), { kind: "file", path }),
    claims: join(folders.lasting, "files.json"),
  };
}

test("a file gets back its very bytes, text or not", (t) => {
  const { path, claim, giveUp, claims } = scene(t);
  for (const bytes of [
    Buffer.from("# caf\xe9\nnameserver 203.0.113.53\n", "latin1"),
    Buffer.from("\ufeffcafé\n"),
    Buffer.of(),
  ]) {
    writeFileSync(path, bytes);
    claim("wg0", "ours\n");
    assert.equal(readFileSync(path, "utf8"), "ours\n");
    giveUp("wg0");
    assert.deepEqual(readFileSync(path), bytes);
    assert.equal(existsSync(claims), false);
  }
});

test("the files that one path leads to in different places are different", (t) => {
  if (!requireNamespaces(t) || requireProgram(t, "mount", "mount") === undefined) return;
  const { path, folder, claim, giveUp, claims } = scene(t);
  const hidden = join(folder, "netns");
  mkdirSync(hidden);
  const other = join(hidden, "resolv.conf");
  for (const [file, text] of [
    [path, "the machine's\n"],
    [other, "its own\n"],
  ]) {
    writeFileSync(file, text);
  }
  const inNamespace = (action: () => void) => {
    execFileSync("mount", ["--bind", other, path]); // as `ip netns exec` does, if in another mount namespace
    try {
      action();
    } finally {
      execFileSync("umount", [path]);
    }
  };
  claim("wg0", "wg0's\n");
  inNamespace(() => claim("wg1", "wg1's\n"));
  giveUp("wg1"); // by the path under which it is seen here
  assert.deepEqual([readFileSync(path, "utf8"), readFileSync(other, "utf8")], ["wg0's\n", "its own\n"]);
  inNamespace(() => claim("wg1", "wg1's\n"));
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", hidden]);
  assert.throws(() => giveUp("wg1"), /the .*resolv\.conf that the tunnel has changed cannot be seen from here/);
  assert.equal(readFileSync(path, "utf8"), "wg0's\n");
  execFileSync("umount", [hidden]);
  inNamespace(() => giveUp("wg1"));
  assert.deepEqual([readFileSync(path, "utf8"), readFileSync(other, "utf8")], ["wg0's\n", "its own\n"]);
  giveUp("wg0");
  assert.deepEqual([readFileSync(path, "utf8"), existsSync(claims)], ["the machine's\n", false]);
});

test("a file's place outlasts its being replaced, removed, and mounted elsewhere", (t) => {
  if (!requireNamespaces(t) || requireProgram(t, "mount", "mount") === undefined) return;
  const { folder } = scene(t);
  const [real, seen] = ["real (1:1, x)", "seen"].map((name) => join(folder, name));
  for (const name of [real, seen]) mkdirSync(name);
  const file = join(real, "a file");
  writeFileSync(file, "one\n");
  const place = filePlace(file);
  assert.match(place, /^[0-9]+:[0-9]+\/.*real \(1:1, x\)\/a file$/);
  writeFileSync(join(real, "fresh"), "two\n");
  renameSync(join(real, "fresh"), file);
  assert.equal(filePlace(file), place);
  execFileSync("mount", ["--bind", real, seen]);
  using _mount = { [Symbol.dispose]: () => void execFileSync("umount", [seen]) };
  assert.equal(filePlace(join(seen, "a file")), place);
  rmSync(file);
  assert.deepEqual([filePlace(file), filePlace(join(seen, "a file"))], [place, place]);
});
