import assert from "node:assert/strict";
import { test } from "node:test";
import { findFalsehood, readQuotations } from "../../interop/tutorial-chapter.ts";

const fence = "```";
const chapter = (...blocks: string[]) =>
  `# Title\n\n${blocks.map((block) => `${fence}console\n${block}\n${fence}\n`).join("\nText.\n\n")}`;
const check = (output: string, ...blocks: string[]) => findFalsehood(readQuotations(chapter(...blocks))[0], output);

test("commands are read with their blocks and lines; other fences are not", () => {
  const text = `${fence}ts\n$ not this\n${fence}\n${chapter("$ one\na", "b\nc", "$ two")}`;
  assert.deepEqual(readQuotations(text), [
    {
      line: 7,
      command: "one",
      blocks: [
        { line: 8, lines: ["a"] },
        { line: 14, lines: ["b", "c"] },
      ],
    },
    { line: 21, command: "two", blocks: [] },
  ]);
});

test("a block before any command, and one without an end, are faults of the chapter", () => {
  assert.throws(() => readQuotations(chapter("quoted of what?")), /line 3: a block before any command/);
  assert.throws(() => readQuotations(`${fence}console\n$ one\n`), /line 1: the block has no end/);
});

test("what is quoted literally must be printed so, from the first line on, in order", () => {
  assert.equal(check("a\nb\nc\n", "$ x\na\nb"), undefined);
  assert.match(check("a\nb\n", "$ x\nb") ?? "", /^line 5: "b" was not printed there: there was "a"$/);
  assert.match(check("a\nb\n", "$ x\na\nb\nc") ?? "", /^line 7: "c" was not printed there/);
  assert.match(check("a\nb\n", "$ x\na\nB") ?? "", /^line 6: "B" .* there was "b"$/);
  assert.match(check("a (1)\n", "$ x\na .1.") ?? "", /was not printed/);
  for (const longer of ["not a\n", "a not\n"]) assert.match(check(longer, "$ x\na") ?? "", /was not printed/);
});

test("… in a line stands for anything in that line alone", () => {
  assert.equal(check("took 12 ms, 3 of 3\n", "$ x\ntook … ms, 3 of …"), undefined);
  assert.equal(check("took  ms\n", "$ x\ntook … ms"), undefined);
  assert.match(check("took 12 ms, 2 of 3\n", "$ x\ntook … ms, 3 of …") ?? "", /was not printed/);
  assert.match(check("took 12\n ms\n", "$ x\ntook … ms") ?? "", /was not printed/);
});

test("what stands in ‹› was so once, and may be anything in its line", () => {
  assert.equal(check("took    12 ms, 3 of 3\n", "$ x\ntook ‹9.5› ms, 3 of ‹3›"), undefined);
  assert.match(check("took 12 s\n", "$ x\ntook ‹12› ms") ?? "", /was not printed/);
  assert.match(check("took 12 ms\n", "$ x\ntook ‹12 ms") ?? "", /was not printed/);
  assert.match(check("a\nb\n", "$ x\n‹a›\nc") ?? "", /^line 6: "c" was not printed/);
});

test("a line of … stands for any lines, none included", () => {
  for (const output of ["a\nz\n", "a\nb\nc\nz\n"]) assert.equal(check(output, "$ x\na\n…\nz"), undefined);
  assert.equal(check("b\na\nc\n", "$ x\n…\nc"), undefined);
  assert.match(check("a\nb\n", "$ x\na\n…\nz") ?? "", /^line 7: "z" was not printed there/);
  assert.equal(check("a\nb\na\nc\n", "$ x\n…\na\nc"), undefined, "it looks further when what follows does not");
});

test("a further block quotes from anywhere behind the one before, not from before it", () => {
  assert.equal(check("a\nb\nc\nd\n", "$ x\na", "c\nd"), undefined);
  assert.match(check("a\nb\nc\n", "$ x\na\nb", "a") ?? "", /^line 12: "a" was not printed there/);
  assert.match(check("a\nb\nc\nx\nd\n", "$ x\na", "c\nd") ?? "", /^line 12: "d" .* there was "x"$/);
});
