import assert from "node:assert/strict";
import { afterEach, beforeEach, type TestContext, test } from "node:test";
import { requireProgram } from "../requirements.ts";

const variable = "WARREN_REQUIRE_PEERS";
const former = process.env[variable];
beforeEach(() => delete process.env[variable]);
afterEach(() => {
  if (former === undefined) delete process.env[variable];
  else process.env[variable] = former;
});

function contextThatRecords(reasons: string[]): TestContext {
  return { skip: (reason: string) => reasons.push(reason) } as unknown as TestContext;
}

test("a program that is there is found by its path", () => {
  const reasons: string[] = [];
  assert.match(requireProgram(contextThatRecords(reasons), "sh", "dash") ?? "", /^\/.*\/sh$/);
  assert.deepEqual(reasons, []);
});

test("a program that is not there skips the test and names its package", () => {
  const reasons: string[] = [];
  assert.equal(requireProgram(contextThatRecords(reasons), "no-such-program", "some-package"), undefined);
  assert.deepEqual(reasons, ["no-such-program is not installed: Debian has it in the package some-package"]);
});

test("where peers are required a program that is not there is a failure", () => {
  process.env[variable] = "1";
  const reasons: string[] = [];
  assert.throws(() => requireProgram(contextThatRecords(reasons), "no-such-program", "some-package"), /some-package/);
  assert.deepEqual(reasons, []);
});
