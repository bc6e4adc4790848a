import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const background = fileURLToPath(new URL("../../../src/cli/background.ts", import.meta.url));

/** Runs a line of a program that has `background` at hand, and says what it printed. */
function run(code: string, env: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string; stderr: string } {
  const program = `const background = await import(${JSON.stringify(background)}); ${code}`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    encoding: "utf8",
    env: { ...process.env, ...env },
    timeout: 20_000,
  });
  return { status, stdout, stderr };
}

test("what the command starts in turn does not take itself for it", () => {
  const code = "console.log(background.inBackground(), process.env.WARREN_READY_FD)";
  assert.equal(run(code, { WARREN_READY_FD: "9" }).stdout, "true undefined\n");
  assert.equal(run(code).stdout, "false undefined\n");
});

/** A command that starts itself again; what the child does is the argument. */
const again = (child: string) =>
  `if (background.inBackground()) { ${child} } else { process.exitCode = await background.runInBackground(); console.log("parent ends"); }`;

/** The same as a file, since a program given as text cannot be started again. */
function runFile(child: string, name: string): ReturnType<typeof run> {
  const folder = mkdtempSync(join(tmpdir(), "warren-background-"));
  try {
    const path = join(folder, `${name}.mjs`);
    writeFileSync(path, `const background = await import(${JSON.stringify(background)});\n${again(child)}\n`);
    const { status, stdout, stderr } = spawnSync(process.execPath, [path], { encoding: "utf8", timeout: 20_000 });
    return { status, stdout, stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("until it is of use its output and its status are the caller's", () => {
  const ends = 'console.log("out"); console.error("err"); process.exitCode = 7;';
  assert.deepEqual(runFile(ends, "fails"), { status: 7, stdout: "out\nparent ends\n", stderr: "err\n" });
});

test("from then on it is on its own", () => {
  // A caller that reads to the end of its output would wait for the child, if that held it.
  const stays =
    'console.log("early"); await background.leaveCaller(); console.log("late"); setTimeout(() => {}, 5000);';
  const begun = performance.now();
  assert.deepEqual(runFile(stays, "stays"), { status: 0, stdout: "early\nparent ends\n", stderr: "" });
  assert.ok(performance.now() - begun < 5000);
});

test("a signal in time is an end, also where the command becomes of use meanwhile", () => {
  const begins = 'setTimeout(() => {}, 10_000); process.kill(process.ppid, "SIGINT");';
  const obeys = 'process.on("SIGTERM", async () => { await background.leaveCaller(); process.exit(0); });';
  const interrupted = { status: 130, stdout: "parent ends\n", stderr: "warren: interrupted\n" };
  assert.deepEqual(runFile(obeys + begins, "obeys"), interrupted);
  assert.deepEqual(runFile(begins, "unprepared"), interrupted);
});

test("what cannot be started for want of descriptors is an error in one line", () => {
  const exhaust =
    'const fs = await import("node:fs"); const held = []; try { for (;;) held.push(fs.openSync("/dev/null")); } catch {} for (const fd of held.splice(-3)) fs.closeSync(fd);';
  const tell =
    "try { await background.runInBackground(); } catch (error) { console.log(error.line); process.exit(1); }";
  const program = `const background = await import(${JSON.stringify(background)}); ${exhaust} ${tell}`;
  const command = ["-c", 'ulimit -n 64; exec "$@"', "sh", process.execPath, "--input-type=module", "--eval", program];
  const { status, stdout, stderr } = spawnSync("/bin/sh", command, { encoding: "utf8", timeout: 20_000 });
  const line =
    "cannot go on in the background: too many open files: raise the limit (ulimit -n), or use --foreground\n";
  assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: line, stderr: "" });
});
