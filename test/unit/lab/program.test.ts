import assert from "node:assert/strict";
import { test } from "node:test";
import { leashed, ownProgram } from "../../../src/lab/program.ts";

test("in none of the lab's Nodes does a signal open a debugger", () => {
  for (const command of [ownProgram("programs/sink", "8.8.8.8"), leashed([process.execPath, "main.ts", "up"])]) {
    assert.deepEqual(command.slice(0, 2), [process.execPath, "--disable-sigusr1"]);
  }
});
