/**
 * The lab as a user meets it: the whole command as a process, on this machine. Each run carries a mark in its environment,
 * which its children inherit, so that whatever is left of it can be found.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { LabRecord, StepRecord } from "../../src/lab/record.ts";
import { slowdown } from "./patience.ts";

export const main: string = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const documentation = readFileSync(new URL("../../docs/lab.md", import.meta.url), "utf8");
const markVariable = "WARREN_TEST_MARK";

export const asNobody: readonly string[] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

/** Reads the details of a run whose steps are those of `D`; of a step that was not verified it throws. */
export function detailsOf<D>(record: LabRecord): <N extends keyof D & string>(name: N) => D[N] {
  return (name) => {
    const step = record.steps.find((candidate) => candidate.name === name);
    assert(step?.ok, `the step ${name} was verified`);
    return step.detail as D[typeof name];
  };
}

export interface LabProcess {
  readonly child: ChildProcess;
  readonly mark: string;
  readonly ended: Promise<{ readonly status: number | null; readonly output: string; readonly errors: string }>;
  /** What it has printed so far. */
  output(): string;
  /** Resolves when this has been printed. */
  says(text: string): Promise<void>;
  /** Resolves when no process of it is left; the kernel tells nobody but a parent, so this looks. */
  gone(): Promise<void>;
}

export interface LabSurroundings {
  /** A command that runs a command. */
  readonly prefix?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** What standard input is; empty unless said otherwise. */
  readonly input?: "ignore" | "pipe";
  /** A descriptor for standard output. */
  readonly output?: number | "pipe";
}

export function lab(
  parameters: readonly string[],
  { prefix = [], env = {}, input = "ignore", output: target = "pipe" }: LabSurroundings = {},
): LabProcess {
  const mark = randomUUID();
  const [file, ...rest] = [...prefix, process.execPath, main, "lab", ...parameters];
  const child = spawn(file, rest, {
    env: { ...process.env, NODE: process.execPath, ...env, [markVariable]: mark },
    stdio: [input, target, "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const ended = once(child, "close").then(([status]) => ({ status, output, errors }));
  return {
    child,
    mark,
    ended,
    output: () => output,
    async says(text) {
      while (!output.includes(text)) {
        assert(child.stdout !== null && child.exitCode === null && child.signalCode === null, `it ended: ${errors}`);
        await Promise.race([once(child.stdout, "data"), ended]);
      }
    },
    async gone() {
      const deadline = performance.now() + 5000;
      while (processesMarked(mark).length > 0 && performance.now() < deadline) await delay(10);
      const left = processesMarked(mark);
      for (const pid of left) process.kill(Number(pid), "SIGKILL");
      assert.deepEqual(left, [], "processes of this lab are left");
    },
  };
}

/** Runs a stage to its end, every step of it verified, and returns its record. */
export async function verified(parameters: readonly string[], prefix: readonly string[] = []): Promise<LabRecord> {
  const { status, output, errors } = await lab(["--json", ...parameters], { prefix }).ended;
  assert.deepEqual({ status, errors }, { status: 0, errors: "" });
  const record: LabRecord = JSON.parse(output);
  assert.equal(record.ok, true);
  for (const step of record.steps) checkDocumented(record.stage, step);
  assert(record.milliseconds < 15_000 * slowdown(), `${record.milliseconds} ms`);
  return record;
}

/** Every field of a step's detail is named in docs/lab.md, in a row about a step of this name. */
function checkDocumented(stage: string, { name, ...step }: StepRecord): void {
  assert(step.ok);
  const rows = documentation
    .split("\n")
    .filter((line) => line.startsWith("|") && line.split("|")[1].includes(`\`${name}\``))
    .join("\n");
  for (const field of Object.keys(step.detail as object))
    assert(rows.includes(`\`${field}\``), `docs/lab.md names ${field} of ${name} in ${stage}`);
}

/** Runs a stage that must fail, and returns the one line with which it does. */
export async function failure(parameters: readonly string[]): Promise<string> {
  const { status, output, errors } = await lab(["--json", ...parameters]).ended;
  assert.equal(status, 1);
  assert.equal(JSON.parse(output).ok, false);
  assert.match(errors, /^warren: the lab's step [^\n]+\n$/);
  return errors;
}

export function processesMarked(mark: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${markVariable}=${mark}`);
    } catch {
      return false; // no process, or gone meanwhile
    }
  });
}

export function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

export function canUnshare(): boolean {
  return [["--net"], ["--user", "--net"]].some((way) => spawnSync("unshare", [...way, "--", "true"]).status === 0);
}

export function canBeNobody(t: TestContext): boolean {
  const [file, ...rest] = [...asNobody, process.execPath, main, "--help"];
  const { status } = spawnSync(file, rest);
  if (status !== 0)
    t.diagnostic("not run as an ordinary user: it needs root, setpriv, and a checkout that others may read");
  return status === 0;
}
