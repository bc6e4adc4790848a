import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { breaches, readAtlas, type Tree } from "./house/law.ts";

const root = dirname(import.meta.dirname);
const atlas = readAtlas(readFileSync(join(root, "ARCHITECTURE.md"), "utf8"));

test("the repository keeps the law of ARCHITECTURE.md", () => {
  const paths = globSync(["*", "{bench,bin,docs,examples,scripts,src,test}/**"], { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
  assert.ok(paths.length > 100);
  const tree = new Map(paths.map((path) => [path, path.endsWith(".ts") ? readFileSync(join(root, path), "utf8") : ""]));
  assert.deepEqual(breaches(tree, atlas), []);
});

test("the map is read as it is meant", () => {
  const mayImport = (folder: string) => [...(atlas.get(folder) ?? [])].sort();
  assert.deepEqual(mayImport("base"), []);
  assert.deepEqual(mayImport("wireguard"), ["base", "crypto"]);
  assert.deepEqual(mayImport("transport"), ["base", "crypto", "os", "packet", "wireguard"]);
  assert.deepEqual(mayImport("tunnel"), ["base", "crypto", "dataplane", "os", "packet", "transport", "wireguard"]);
  assert.deepEqual(mayImport("cli"), [...atlas.keys()].filter((folder) => folder !== "cli").sort());
});

const lines = (count: number) => `/** What it is. */${"\n".repeat(count)}`;

const lawless: [rule: string, files: Record<string, string>, complaint: string][] = [
  ["an import upwards", { "src/os/a.ts": `import { x } from "../cli/x.ts";` }, "src/os/a.ts: may not import cli"],
  ["an upward type", { "src/base/a.ts": `import type { X } from "../os/x.ts";` }, "src/base/a.ts: may not import os"],
  ["a lazy import", { "src/os/a.ts": `await import("../tunnel/x.ts");` }, "src/os/a.ts: may not import tunnel"],
  ["a neighbour", { "src/packet/a.ts": `import "../crypto/x.ts";` }, "src/packet/a.ts: may not import crypto"],
  [
    "a cycle",
    {
      "src/os/a.ts": `import "./b.ts";`,
      "src/os/b.ts": `export { x } from "./a.ts";`,
      "src/os/c.ts": `import "./a.ts"`,
    },
    "src/os/a.ts -> src/os/b.ts -> src/os/a.ts: a cycle",
  ],
  ["a module", { "src/crypto/a.ts": `import "node:crypto";` }, "src/crypto/a.ts: is pure, but imports node:crypto"],
  ["a clock", { "src/wireguard/a.ts": "const now = Date.now();" }, "src/wireguard/a.ts: is pure, but uses Date"],
  ["a timer", { "src/packet/a.ts": "setTimeout(f, 1);" }, "src/packet/a.ts: is pure, but uses setTimeout"],
  ["chance", { "src/base/a.ts": "x = Math.random();" }, "src/base/a.ts: is pure, but uses Math.random"],
  ["the process", { "src/base/a.ts": "f(process.env);" }, "src/base/a.ts: is pure, but uses process"],
  ["FFI", { "src/tunnel/a.ts": `import koffi from "koffi";` }, "src/tunnel/a.ts: imports koffi, which only os may"],
  [
    "a thread",
    { "src/cli/a.ts": `import { Worker } from "node:worker_threads";` },
    "src/cli/a.ts: imports node:worker_threads, which only dataplane may",
  ],
  ["an exit", { "src/os/a.ts": "process.exit(1);" }, "src/os/a.ts: calls process.exit, which only cli may"],
  ["a default export", { "src/os/a.ts": "export default 1;" }, "src/os/a.ts: has a default export"],
  ["a barrel", { "src/os/a.ts": `export * from "./b.ts";` }, "src/os/a.ts: exports what another file owns"],
  [
    "a silent file",
    { "src/os/a.ts": "const a = 1;\n" },
    "src/os/a.ts: does not open with a comment that says what it is",
  ],
  ["a long file", { "test/a.test.ts": lines(401) }, "test/a.test.ts: has 401 lines, more than 400"],
  ["a name", { "docs/helpers.md": "" }, "docs/helpers.md: helpers.md says nothing: name it after what it is"],
  ["a folder's name", { "test/util/a.ts": "" }, "test/util/a.ts: util says nothing: name it after what it is"],
  ["a folder of its own", { "src/gate/a.ts": lines(1) }, "src/gate/a.ts: gate is not in the map"],
  ["no folder", { "src/a.ts": lines(1) }, "src/a.ts: lies in no folder of src"],
];

test("every rule finds who breaks it", async (t) => {
  for (const [rule, files, complaint] of lawless) {
    await t.test(rule, () => {
      const found = breaches(withRows(files), atlas);
      assert.ok(found.includes(complaint), found.join("\n"));
    });
  }
});

test("a row of the map that leads nowhere is found", () => {
  assert.deepEqual(breaches(new Map(), new Map([["gone", new Set<string>()]])), [
    "src/gone: is in the map, but not there",
  ]);
});

test("what is allowed is not complained about", () => {
  const innocent = {
    "src/cli/main.ts": `/** What it is. */\nimport { Command } from "commander";\nprocess.exit(1);\n`,
    "src/os/libc.ts": `/** What it is. */\nimport koffi from "koffi";\nimport { a } from "../base/a.ts";\n`,
    "src/index.ts": `/** What it is. */\nexport { a } from "./base/a.ts";\n`,
    "src/base/a.ts": `/** Calls no Date.now(). */\nconst text = "process.exit"; // setTimeout(f)\nlink.process.exit(/Date.now()"/);\n`,
    "src/crypto/native.ts": `/** What it is. */\nimport { createHash } from "node:crypto";\n`,
    "src/lab/programs/ping.ts": "/** What it is. */\nprocess.exit(0);\n",
    "src/dataplane/shared-memory.ts": lines(400),
  };
  assert.deepEqual(breaches(withRows(innocent), atlas), []);
});

/** The files, and one in every folder of the map, so that no row leads nowhere. */
function withRows(files: Record<string, string>): Tree {
  const rows = [...atlas.keys()].map((folder): [string, string] => [`src/${folder}/placeholder.ts`, lines(1)]);
  return new Map([...rows, ...Object.entries(files)]);
}
