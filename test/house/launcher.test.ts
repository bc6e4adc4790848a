import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { requireNamespaces } from "../requirements.ts";

const root = dirname(dirname(import.meta.dirname));
const folder = mkdtempSync(join(tmpdir(), "warren-launcher-"));
const checkout = join(folder, "a checkout");
const elsewhere = join(folder, "elsewhere");
const tools = ["/usr/bin", "/bin"].join(delimiter); // sh and readlink

/** A checkout whose only program says what it was started with. */
beforeEach(() => {
  rmSync(folder, { recursive: true });
  for (const path of ["src/cli", "node_modules/.bin"]) mkdirSync(join(checkout, path), { recursive: true });
  mkdirSync(elsewhere);
  cpSync(join(root, "bin"), join(checkout, "bin"), { recursive: true, verbatimSymlinks: true });
  writeFileSync(join(checkout, "src/cli/main.ts"), "console.log(process.argv.slice(2).join());\n");
  writeFileSync(join(checkout, "src/cli/warren-wg.ts"), 'console.log("wg", process.argv.slice(2).join());\n');
  writeFileSync(join(checkout, "node_modules/.package-lock.json"), "{}");
});
after(() => rmSync(folder, { recursive: true }));

/** A program called node that says what it is and what it was asked to run. */
function placeNode(path: string, version: string): string {
  const script = `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; else echo "node ${version}: $*"; fi\n`;
  writeFileSync(join(path, "node"), script, { mode: 0o755 });
  return path;
}

function start(launcher: string, path: string, ...parameters: string[]) {
  const env = { PATH: path, NODE_COMPILE_CACHE: join(folder, "cache") };
  const { status, stdout, stderr } = spawnSync(launcher, parameters, { encoding: "utf8", env });
  return { status, stdout, stderr };
}

const launcher = join(checkout, "bin/warren");

test("a checkout runs its TypeScript with its own node, and passes arguments and status on", () => {
  symlinkSync(process.execPath, join(checkout, "node_modules/.bin/node"));
  assert.deepEqual(start(launcher, tools, "a b", "", "c"), { status: 0, stdout: "a b,,c\n", stderr: "" });
  writeFileSync(join(checkout, "src/cli/main.ts"), "process.exitCode = 7;\n");
  assert.equal(start(launcher, tools).status, 7);
});

test("no signal opens a debugger", () => {
  symlinkSync(process.execPath, join(checkout, "node_modules/.bin/node"));
  writeFileSync(join(checkout, "src/cli/main.ts"), "console.log(process.execArgv.join());\n");
  assert.match(start(launcher, tools).stdout, /--disable-sigusr1/);
});

test("compiled code is loaded only from a folder of one's own, and root's lies in no home", (t) => {
  if (process.getuid?.() !== 0 || !requireNamespaces(t)) return;
  const stranger = 65_534;
  const home = join(folder, "home");
  symlinkSync(process.execPath, join(checkout, "node_modules/.bin/node"));
  writeFileSync(join(checkout, "src/cli/main.ts"), "console.log(process.env.NODE_COMPILE_CACHE);\n");
  mkdirSync(join(home, ".cache/warren"), { recursive: true });
  for (const path of ["", ".cache", ".cache/warren"]) chownSync(join(home, path), stranger, stranger);
  chmodSync(folder, 0o755);
  const cacheOf = (uid: number, environment: Record<string, string>, before = "true") => {
    const privately = `mount -t tmpfs -o mode=755 none /var/cache && ${before} && exec setpriv --clear-groups --reuid ${uid} "$0"`;
    const env = { PATH: tools, ...environment };
    const options = { encoding: "utf8", env, timeout: 20_000 } as const;
    const { stdout, stderr } = spawnSync("unshare", ["-m", "sh", "-c", privately, launcher], options);
    return stdout.trim() || stderr;
  };
  const none = "undefined";
  assert.equal(cacheOf(0, { HOME: home, XDG_CACHE_HOME: join(home, ".cache") }), "/var/cache/warren");
  const foreign = `mkdir /var/cache/warren && chown ${stranger} /var/cache/warren`;
  assert.equal(cacheOf(0, { HOME: home }, foreign), none);
  assert.equal(cacheOf(stranger, { HOME: home }), join(home, ".cache/warren"));
  assert.equal(cacheOf(stranger, { HOME: "/root" }), none);
  assert.equal(cacheOf(stranger, { HOME: "/proc" }), none);
  assert.equal(cacheOf(stranger, {}), none);
  chownSync(join(home, ".cache/warren"), 0, 0);
  assert.equal(cacheOf(stranger, { HOME: home }), none);
});

test("a closed standard output is no place for a key", () => {
  symlinkSync(process.execPath, join(checkout, "node_modules/.bin/node"));
  const { status, stderr } = spawnSync("sh", ["-c", 'exec "$0" genkey >&-', launcher], { encoding: "utf8" });
  assert.deepEqual([status, stderr], [1, "warren: cannot write the output: standard output is closed\n"]);
});

test("it is found through links, absolute and relative, one behind the other", () => {
  symlinkSync(process.execPath, join(checkout, "node_modules/.bin/node"));
  symlinkSync(launcher, join(elsewhere, "absolute"));
  symlinkSync("../a checkout/bin/warren", join(elsewhere, "relative"));
  symlinkSync("relative", join(elsewhere, "twice"));
  for (const name of ["absolute", "relative", "twice"]) {
    assert.deepEqual(start(join(elsewhere, name), tools, name), { status: 0, stdout: `${name}\n`, stderr: "" });
  }
});

test("a checkout without packages says how to get them", () => {
  rmSync(join(checkout, "node_modules/.package-lock.json"));
  const stderr = `warren: its packages are not installed: run npm ci in ${checkout}\n`;
  assert.deepEqual(start(launcher, tools), { status: 1, stdout: "", stderr });
});

test("without a node of its own it takes the one on the PATH, if that is new enough", () => {
  for (const version of ["v24.12.0", "v24.13.1", "v26.10.0", "v100.0.0"]) {
    const { status, stdout } = start(launcher, `${placeNode(elsewhere, version)}:${tools}`, "up");
    assert.equal(status, 0, version);
    assert.match(stdout, new RegExp(`^node ${version}: .*/src/cli/main.ts up\n$`));
  }
  for (const version of ["v20.20.2", "v24.11.9", "v9.0.0"]) {
    const stderr = `warren: it needs Node 24.12 or newer, and the node on the PATH is ${version}\n`;
    const path = `${placeNode(elsewhere, version)}:${tools}`;
    assert.deepEqual(start(launcher, path), { status: 1, stdout: "", stderr });
  }
});

test("without any node it says what it needs", () => {
  for (const program of ["sh", "readlink"]) symlinkSync(`/bin/${program}`, join(elsewhere, program));
  const stderr = "warren: it needs Node 24.12 or newer, and there is no node on the PATH\n";
  assert.deepEqual(start(launcher, elsewhere), { status: 1, stdout: "", stderr });
});

test("the published package runs what was compiled, with the node on the PATH", () => {
  rmSync(join(checkout, "node_modules"), { recursive: true });
  rmSync(join(checkout, "src/cli/main.ts"));
  const { status, stdout } = start(launcher, `${placeNode(elsewhere, "v26.0.0")}:${tools}`, "up");
  assert.equal(status, 0);
  assert.match(stdout, /\/src\/cli\/main\.js up\n$/);
});

test("warren-wg is another program, under whatever name it is called", () => {
  symlinkSync(process.execPath, join(checkout, "node_modules/.bin/node"));
  symlinkSync(join(checkout, "bin/warren-wg"), join(elsewhere, "wireguard-go"));
  symlinkSync("../a checkout/bin/warren", join(elsewhere, "warren-wg"));
  for (const path of [join(checkout, "bin/warren-wg"), join(elsewhere, "wireguard-go"), join(elsewhere, "warren-wg")]) {
    assert.deepEqual(start(path, tools, "-f", "wg0"), { status: 0, stdout: "wg -f,wg0\n", stderr: "" }, path);
  }
  rmSync(join(checkout, "node_modules/.package-lock.json"));
  assert.match(start(join(checkout, "bin/warren-wg"), tools).stderr, /^warren-wg: its packages are not installed/);
});
