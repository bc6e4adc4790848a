/**
 * What `npm test` runs: every test file, or those in the files and folders named as arguments, inside namespaces of
 * their own. There they are root, lo is up, /run is empty, and nothing else is: no test can reach the machine's network
 * or leave anything in it. Where namespaces are forbidden the tests run without, and those that need them skip.
 *
 * Every test file is a process, killed with this one however it ends. At the end stands what was skipped, and why.
 */
import { globSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { VpnError } from "../src/base/errors.ts";
import { leashVariable } from "../src/lab/program.ts";
import { enterSandbox, runInSandbox } from "../src/lab/sandbox.ts";
import { InterfaceConfig } from "../src/os/interface-config.ts";

const usage = "npm test -- [--name PATTERN] [FILE or FOLDER]...";
const leash = new URL("../src/lab/leash.ts", import.meta.url);
const root = dirname(import.meta.dirname);
const loopback = 1; // the first interface of every namespace
const fileTimeoutMs = 600_000;
/** Minutes of waiting, which cost nothing if they begin first. */
const longest = "/interop/rekey";

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`test: ${error instanceof VpnError ? error.line : String(error)}`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { name: { type: "string" }, inside: { type: "string" } },
    allowPositionals: true,
  });
  const files = findFiles(positionals);
  if (files.length === 0) {
    console.error(`test: nothing to run in ${positionals.join(" ")}: ${usage}`);
    return 2;
  }
  if (values.inside === undefined) {
    const again = [process.execPath, import.meta.filename, ...process.argv.slice(2), "--inside", String(process.pid)];
    const status = await tryInSandbox(again);
    return status ?? (await runTests(files, values.name));
  }
  using _sandbox = enterSandbox(Number(values.inside), () => process.exit(1));
  using interfaces = InterfaceConfig.open();
  interfaces.links.set(loopback, { up: true });
  return await runTests(files, values.name);
}

/** The exit status of the command in namespaces of its own, or `undefined` where there can be none. */
async function tryInSandbox(command: readonly string[]): Promise<number | undefined> {
  try {
    return await runInSandbox(command);
  } catch (error) {
    if (!(error instanceof VpnError) || (error.code !== "not-permitted" && error.code !== "not-available")) throw error;
    console.error(`test: without namespaces: ${error.line}`);
    return undefined;
  }
}

function findFiles(wanted: readonly string[]): string[] {
  const paths = wanted.length === 0 ? [join(root, "test")] : wanted.map((path) => resolve(path));
  const files = paths.flatMap((path) => {
    const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    return globSync(isFolder ? `${path}/**/*.test.ts` : path);
  });
  const rank = (file: string) => (file.includes(longest) ? 0 : 1);
  return [...new Set(files)].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

async function runTests(files: string[], name: string | undefined): Promise<number> {
  process.env[leashVariable] = String(process.pid);
  const skipped: string[] = [];
  let status = 1;
  const events = run({
    files,
    concurrency: availableParallelism() + 1, // one of them mostly waits
    timeout: fileTimeoutMs,
    execArgv: ["--import", fileURLToPath(leash)],
    ...(name === undefined ? {} : { testNamePatterns: [name] }),
  });
  events.on("test:pass", ({ skip, name, file }) => {
    if (skip === undefined) return;
    const where = file === undefined ? "" : `${relative(root, file)}: `;
    skipped.push(`${where}${name}: ${typeof skip === "string" ? skip : "no reason given"}`);
  });
  events.on("test:summary", ({ file, success }) => {
    if (file === undefined) status = success ? 0 : 1;
  });
  const report = events.compose(new spec());
  report.pipe(process.stdout);
  await new Promise((end) => report.once("end", end));
  console.log(skipped.length === 0 ? "none skipped" : [`${skipped.length} skipped:`, ...skipped].join("\n  "));
  return status;
}
