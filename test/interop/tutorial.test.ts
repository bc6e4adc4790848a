/**
 * The tutorial holds: every command in it is run, once however often it is quoted, and what it prints is compared with
 * what is quoted, in the notation of docs/tutorial/README.md (`tutorial-chapter.ts`).
 */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { findFalsehood, type Quotation, readQuotations } from "./tutorial-chapter.ts";

const root = dirname(dirname(import.meta.dirname));
const folder = join(root, "docs", "tutorial");
const commandTimeoutMs = 120_000; // a stage takes 10 s at most where nothing else runs
const largestOutput = 4_000_000;

interface Chapter {
  readonly name: string;
  readonly text: string;
  readonly quotations: readonly Quotation[];
}

const chapters: readonly Chapter[] = readdirSync(folder)
  .filter((name) => /^\d\d-.*\.md$/.test(name))
  .sort()
  .map((name) => {
    const text = readFileSync(join(folder, name), "utf8");
    return { name, text, quotations: readQuotations(text) };
  });
const commands = [...new Set(chapters.flatMap(({ quotations }) => quotations.map(({ command }) => command)))];

const skip = process.env.WARREN_REQUIRE_PEERS !== "1" && !canUnshare() && "namespaces cannot be made here";

test("the index names every chapter, in order, and every link in the tutorial leads somewhere", () => {
  const index = readFileSync(join(folder, "README.md"), "utf8");
  const listed = [...index.matchAll(/\]\((\d\d-[^)]*)\)/g)].map(([, name]) => name);
  assert.deepEqual(
    listed,
    chapters.map(({ name }) => name),
  );
  assert.ok(chapters.length >= 8);
  for (const { name, text } of [{ name: "README.md", text: index }, ...chapters]) {
    for (const [, target] of text.matchAll(/\]\(([^)#:]+)\)/g)) {
      assert.ok(existsSync(join(folder, target)), `${name} links to ${target}, which is not there`);
    }
  }
});

test("each chapter ends with a lab command and what it prints", () => {
  for (const { name, text, quotations } of chapters) {
    const last = text.slice(text.lastIndexOf("```console"));
    assert.match(last, /^```console\n\$ (echo '[^']*' \| )?bin\/warren lab\b/, `${name}: its last block`);
    assert.ok((quotations.at(-1)?.blocks.length ?? 0) > 0, `${name}: its last command is quoted`);
  }
});

describe("what the tutorial quotes is what is printed", { concurrency: 2, skip }, () => {
  for (const command of commands) {
    test(command, { timeout: commandTimeoutMs }, async () => {
      const output = await run(command);
      const falsehoods = chapters.flatMap(({ name, quotations }) =>
        quotations
          .filter((quotation) => quotation.command === command)
          .flatMap((quotation) => findFalsehood(quotation, output) ?? [])
          .map((falsehood) => `docs/tutorial/${name}, ${falsehood}`),
      );
      assert.deepEqual(falsehoods, [], output);
    });
  }
});

/** What it prints on both outputs, as a reader at a terminal sees it, without colours. */
function run(command: string): Promise<string> {
  return new Promise((resolve) => {
    const options = { cwd: root, timeout: commandTimeoutMs, maxBuffer: largestOutput };
    execFile("sh", ["-c", `exec 2>&1; ${command}`], options, (_error, output) => resolve(output));
  });
}

function canUnshare(): boolean {
  return [["--net"], ["--user", "--net"]].some((way) => spawnSync("unshare", [...way, "--", "true"]).status === 0);
}
