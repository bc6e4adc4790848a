import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { completions, declaredProgram } from "../../scripts/completions.ts";
import { requireProgram } from "../requirements.ts";

const root = new URL("../../", import.meta.url);
const files = Object.keys(completions());
const textOf = (path: string) => readFileSync(new URL(path, root), "utf8");

test("the completions are those of the commands there are", () => {
  for (const [path, text] of Object.entries(completions())) {
    assert.equal(textOf(path), text, `${path} is out of date: run \`node scripts/completions.ts\``);
  }
});

/** The names of all commands and options, read where they are declared. */
function namesOf(command: Command): string[] {
  const options = command.options.flatMap(({ long, hidden }) => (hidden || long === undefined ? [] : [long.slice(2)]));
  return [...options, ...command.commands.flatMap((child) => [child.name(), ...namesOf(child)])];
}

test("they name every command and every option", () => {
  const names = namesOf(declaredProgram());
  assert.ok(names.includes("kill-switch") && names.includes("reload") && names.includes("genkey"));
  for (const path of files) {
    const text = textOf(path);
    const missing = names.filter((name) => !new RegExp(`[-'" ]${name}\\b`).test(text));
    assert.deepEqual(missing, [], path);
  }
});

/** What bash offers for the last of these words. */
function offers(bash: string, ...words: string[]): string[] {
  const file = fileURLToPath(new URL("contrib/completions/warren.bash", root));
  const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _warren; printf "%s\n" "\${COMPREPLY[@]}"`;
  const output = execFileSync(bash, ["-c", script, "bash", file, "warren", ...words], {
    encoding: "utf8",
    cwd: "/dev",
  });
  return output.split("\n").filter((line) => line !== "");
}

test("bash offers what may follow", (t) => {
  const bash = requireProgram(t, "bash", "bash");
  if (bash === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "warren-completions-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of ["office.conf", "other.txt"]) writeFileSync(join(folder, name), "");
  mkdirSync(join(folder, "old"));
  assert.deepEqual(offers(bash, "re"), ["reload", "relay"]);
  assert.deepEqual(offers(bash, "up", "--kill"), ["--kill-switch", "--kill-switch-lan"]);
  assert.deepEqual(offers(bash, "up", "--json", "--kill"), ["--kill-switch", "--kill-switch-lan"]);
  assert.deepEqual(offers(bash, "--verbose", "genk"), ["genkey"]);
  assert.deepEqual(offers(bash, "classic", "cl"), ["client"]);
  assert.deepEqual(offers(bash, "lab", "--stage", "wire"), ["wireguard"]);
  assert.deepEqual(offers(bash, "lab", "--break", "ch"), ["checksum"]);
  assert.deepEqual(offers(bash, "help", "re"), ["reload", "relay"]);
  assert.deepEqual(offers(bash, "classic", "help", "cl"), ["client"]);
  for (const command of ["up", "down", "reload"]) {
    assert.deepEqual(offers(bash, command, `${folder}/o`), [`${folder}/office.conf`, `${folder}/old`], command);
  }
  assert.deepEqual(offers(bash, "up", "nul"), [], "no file but a configuration");
  assert.deepEqual(offers(bash, "trace", "--pcap", "nul"), ["null"], "a file where a value is one");
  assert.deepEqual(offers(bash, "genkey", "nul"), []);
});
