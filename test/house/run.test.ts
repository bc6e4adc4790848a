import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { requireNamespaces } from "../requirements.ts";

const runner = join(dirname(import.meta.dirname), "run.ts");
const folder = mkdtempSync(join(tmpdir(), "warren-run-"));
after(() => rmSync(folder, { recursive: true }));

// Without what marks a process as part of this very run.
const { NODE_TEST_CONTEXT: _context, ...env } = process.env;

/** Writes a test file. Returns its path. */
function place(name: string, body: string): string {
  const path = join(folder, `${name}.test.ts`);
  const imports = ["node:assert/strict", "node:fs", "node:net", "node:os"].map((module) => {
    return `import * as ${module.replace(/^node:|\/.*$/g, "")} from "${module}";\n`;
  });
  writeFileSync(path, `${imports.join("")}import { test } from "node:test";\n${body}\n`);
  return path;
}

function run(...parameters: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [runner, ...parameters], { env, encoding: "utf8" });
  return { status, stdout, stderr };
}

test("what was skipped is listed with its reason, after the totals", () => {
  const { status, stdout } = run(place("skips", `test("a", () => {}); test("b", (t) => t.skip("no b here"));`));
  assert.equal(status, 0, stdout);
  assert.match(stdout, /ℹ pass 1\n.*ℹ skipped 1\n.*\n1 skipped:\n {2}\S*skips\.test\.ts: b: no b here\n$/s);
});

test("if nothing was skipped it says so", () => {
  const { status, stdout } = run(place("passes", `test("a", () => {});`));
  assert.equal(status, 0, stdout);
  assert.match(stdout, /ℹ pass 1\n.*\nnone skipped\n$/s);
});

test("a failure, or a file that does not run, is status 1", () => {
  for (const body of [`test("a", () => assert.equal(1, 2));`, `throw new Error("on purpose");`]) {
    const { status, stdout } = run(place("fails", body), place("passes", `test("a", () => {});`));
    assert.equal(status, 1, stdout);
    assert.match(stdout, /ℹ pass 1\nℹ fail 1\n/);
  }
});

test("tests are chosen by name, by file and by folder", () => {
  place("chosen", `test("the red one", () => {}); test("the green one", () => {});`);
  place("passes", `test("a", () => {});`);
  assert.match(run("--name", "green", join(folder, "chosen.test.ts")).stdout, /ℹ pass 1\n/);
  rmSync(join(folder, "fails.test.ts"), { force: true });
  rmSync(join(folder, "skips.test.ts"), { force: true });
  assert.match(run(folder).stdout, /ℹ pass 3\n/);
});

test("nothing to run is wrong usage", () => {
  const { status, stdout, stderr } = run(join(folder, "nowhere"));
  assert.deepEqual({ status, stdout }, { status: 2, stdout: "" });
  assert.match(stderr, /^test: nothing to run in \S*nowhere: npm test -- [^\n]+\n$/);
});

test("inside, there is root, a loopback that is up, an empty /run, and nothing else", (t) => {
  if (!requireNamespaces(t)) return;
  const body = `test("inside", async () => {
    assert.equal(process.getuid(), 0);
    assert.deepEqual(Object.keys(os.networkInterfaces()), ["lo"]);
    assert.deepEqual(fs.readdirSync("/run"), []);
    fs.writeFileSync("/run/warren-was-here", "");
  });`;
  const { status, stdout } = run(place("inside", body));
  assert.equal(status, 0, stdout);
});

test("an interrupt, or the death of the outermost, ends every test file at once", async (t) => {
  if (!requireNamespaces(t)) return;
  const door = join(folder, "door");
  const server = createServer().listen(door);
  t.after(() => server.close());
  await once(server, "listening");
  const file = place("hangs", `test("for ever", () => new Promise(() => net.connect(${JSON.stringify(door)})));`);
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGKILL", null],
  ] as const) {
    const child = spawn(process.execPath, [runner, file], { env, stdio: "ignore" });
    const exited = once(child, "exit");
    const [socket] = (await once(server, "connection")) as [Socket];
    const hungUp = once(
      socket.resume().on("error", () => undefined),
      "close",
    );
    child.kill(signal);
    assert.equal((await exited)[0], status);
    await hungUp;
  }
});
