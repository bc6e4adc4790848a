import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { breakableParts, describeStages, loadStage, stageNames } from "../../../src/lab/stage-list.ts";

const documentation = readFileSync(new URL("../../../docs/lab.md", import.meta.url), "utf8");

test("the default stage is the first", () => {
  assert.equal(stageNames[0], "wireguard");
});

test("every stage is called what the list calls it, and documented with all of its steps", async () => {
  for (const name of stageNames) {
    const { name: own, description, steps, breakages } = await loadStage(name);
    assert.equal(own, name);
    assert.match(description, /^[A-Z][^.\n]+$/);
    assert(documentation.includes(`### \`${name}\`\n`), `docs/lab.md has a part on ${name}`);
    const part = documentation.split(`### \`${name}\`\n`)[1].split(/^##/m)[0];
    const rows = part.split("\n").filter((line) => line.startsWith("|"));
    const told = ["request", "reply", "shell"]; // of all stages that have them, under the first
    for (const step of steps.filter((one) => name === stageNames[0] || !told.includes(one)))
      assert(
        rows.some((row) => row.split("|")[1].includes(`\`${step}\``)),
        `docs/lab.md has the step ${step} of ${name}`,
      );
    for (const breakage of breakages) assert(part.includes(`\`${breakage}\``), `and --break ${breakage}`);
  }
});

test("the list says what can be broken as the stages themselves do", async () => {
  const lines = describeStages();
  const all = new Set<string>();
  for (const name of stageNames) {
    const { breakages } = await loadStage(name);
    const at = lines.findIndex((line) => line.startsWith(`${name} `));
    const [, parts = ""] = lines[at + 1]?.match(/^ +--break (.*)$/) ?? [];
    assert.equal(parts, breakages.join(", "), name);
    for (const part of breakages) all.add(part);
  }
  assert.deepEqual([...breakableParts].sort(), [...all].sort());
});

test("a name that no stage has is refused, one of Object's own too", () => {
  for (const name of ["nonsense", "constructor", ""]) {
    assert.throws(() => loadStage(name), { code: "invalid-argument" });
  }
});
