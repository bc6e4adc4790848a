import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { build } from "../../scripts/build.ts";
import { requireProgram } from "../requirements.ts";

const root = dirname(dirname(import.meta.dirname));
const folder = mkdtempSync(join(tmpdir(), "warren-package-"));
const dist = join(folder, "dist");

before(() => build(dist));
after(() => rmSync(folder, { recursive: true }));

test("npm would ship what runs, and nothing else", (t) => {
  const npm = requireProgram(t, "npm", "npm");
  if (npm === undefined) return;
  const report = execFileSync(npm, ["pack", "--dry-run", "--json"], { cwd: dist, encoding: "utf8" });
  const packed = JSON.parse(report);
  const { files }: { files: { path: string; mode: number }[] } = Array.isArray(packed) ? packed[0] : packed.warren;
  const paths = files.map(({ path }) => path);
  const launchers = files.filter(({ path }) => path.startsWith("bin/"));
  assert.deepEqual(launchers.map(({ path, mode }) => [path, mode & 0o111]).sort(), [
    ["bin/warren", 0o111],
    ["bin/warren-wg", 0o111],
  ]);
  for (const path of ["package.json", "LICENSE", "README.md", "src/cli/main.js", "src/packet/kernels/kernels.wasm"]) {
    assert.ok(paths.includes(path), path);
  }
  const others = paths.filter(
    (path) => !/^src\/.*(\.js|\.d\.ts|\.wasm)$|^bin\/|^[A-Z]+(\.md)?$|^package\.json$/.test(path),
  );
  assert.deepEqual(others, []);
});

test("what depends on the package gets neither our Node nor our scripts", () => {
  const manifest = JSON.parse(readFileSync(join(dist, "package.json"), "utf8"));
  const wanted = ["bin", "dependencies", "description", "engines", "license", "name", "os", "type", "version"];
  assert.deepEqual(Object.keys(manifest).sort(), wanted);
  assert.equal(manifest.engines.node, ">=24.12");
  assert.deepEqual(Object.keys(manifest.dependencies).sort(), [
    "@noble/ciphers",
    "@noble/hashes",
    "commander",
    "koffi",
    "ws",
  ]);
});

test("the package starts, also through a link, and its commands find their parts", () => {
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  symlinkSync("dist/bin/warren", join(folder, "warren"));
  const run = (...parameters: string[]) => execFileSync(join(folder, "warren"), parameters, { encoding: "utf8" });
  assert.equal(run("--version"), `${JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version}\n`);
  assert.match(run("genkey"), /^[A-Za-z0-9+/]{42}[048AEIMQUYcgkosw]=\n$/);
  const doctor = spawnSync(join(folder, "warren"), ["doctor"], { encoding: "utf8" }); // it may find that something is missing
  assert.match(doctor.stdout, /^kernel /, doctor.stderr);
});

test("the checkout itself cannot be published by mistake", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.equal(manifest.private, true);
});
