import assert from "node:assert/strict";
import { test } from "node:test";
import { VpnError } from "../../../src/base/errors.ts";
import { Journal, verify } from "../../../src/lab/journal.ts";
import type { StepRecord } from "../../../src/lab/record.ts";

type Steps = { dig: { depth: number }; rest: null };

function makeJournal(): { journal: Journal<Steps>; told: StepRecord[] } {
  const told: StepRecord[] = [];
  return { journal: new Journal<Steps>((step) => told.push(step)), told };
}

test("a step is recorded with its detail, and told", async () => {
  const { journal, told } = makeJournal();
  assert.deepEqual(await journal.step("dig", () => ({ depth: 3 })), { depth: 3 });
  const [step] = journal.steps;
  assert.deepEqual([step.name, step.ok, step.ok && step.detail], ["dig", true, { depth: 3 }]);
  assert.deepEqual(told, journal.steps);
  assert.equal(journal.failure, undefined);
});

test("what a step needs beforehand is no step, unless it fails: then it is the step's failure", async () => {
  const { journal } = makeJournal();
  assert.equal(await journal.prepare("dig", () => "spade"), "spade");
  assert.deepEqual(journal.steps, []);
  const fail = () => verify(false, "a spade", "there was a fork");
  await assert.rejects(journal.prepare("dig", fail), { code: "lab-step-failed" });
  const { failure } = journal;
  assert.deepEqual([failure?.name, failure?.expected, failure?.seen], ["dig", "a spade", "there was a fork"]);
});

test("a step that fails is recorded once; another error is not the step's fault and goes on", async () => {
  const { journal } = makeJournal();
  const refuse = () => {
    throw new VpnError("not-permitted", "no digging here", { remedy: "ask the owner" });
  };
  await assert.rejects(journal.step("dig", refuse), { code: "not-permitted" });
  assert.equal(journal.steps.length, 1);
  assert.equal(journal.failure?.seen, "no digging here: ask the owner");
  const other = makeJournal();
  const stumble = () => {
    throw new TypeError("a bug");
  };
  await assert.rejects(other.journal.step("dig", stumble), TypeError);
  assert.deepEqual(other.journal.steps, []);
});
