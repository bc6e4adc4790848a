import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readLineup } from "../../../bench/contestants/lineup.ts";
import { checkoutVersion } from "../../../bench/contestants/warren.ts";
import { wireguardGoVersion } from "../../../bench/contestants/wireguard-go.ts";
import { VpnError } from "../../../src/base/errors.ts";

/** A program that prints a line, whatever it is asked. */
function printing(t: TestContext, line: string): string {
  const folder = mkdtempSync(join(tmpdir(), "warren-bench-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "wireguard-go");
  writeFileSync(file, `#!/bin/sh\necho '${line}'\n`, { mode: 0o755 });
  return file;
}

for (const version of ["v0.0.20250522", "0.0.20260101"]) {
  test(`wireguard-go ${version} is a yardstick`, (t) => {
    assert.equal(wireguardGoVersion(printing(t, `wireguard-go ${version}`)), version.replace("v", ""));
  });
}

const refused: [what: string, line: string, complaint: RegExp][] = [
  ["one without offloads", "wireguard-go v0.0.20220316", /is wireguard-go 0\.0\.20220316, too old/],
  ["the last of 2024", "wireguard-go v0.0.20241231", /too old/],
  ["one that names no date", "wireguard-go devel", /names no version/],
  ["another program", "boringtun 0.6.0", /names no version/],
];
for (const [what, line, complaint] of refused) {
  test(`refuses ${what} in one line`, (t) => {
    const isRefusal = (error: unknown) =>
      error instanceof VpnError &&
      error.code === "invalid-argument" &&
      complaint.test(error.line) &&
      error.line.includes("--against") &&
      !error.line.includes("\n");
    assert.throws(() => wireguardGoVersion(printing(t, line)), isRefusal);
  });
}

test("refuses what cannot be run", () => {
  assert.throws(() => wireguardGoVersion("/nowhere/wireguard-go"), /^VpnError: cannot run \/nowhere\/wireguard-go/);
});

test("names this checkout by its commit, and refuses a folder that is none", () => {
  const here = join(import.meta.dirname, "../../..");
  assert.match(checkoutVersion(here), /^([0-9a-f]{7,}|of no known commit)(, changed)?$/);
  const complaint = /^VpnError: \/nowhere is no checkout of warren that can run: it has no bin\/warren-wg$/;
  assert.throws(() => checkoutVersion("/nowhere"), complaint);
});

test("the line-up is warren and whoever is named, a bare path being a wireguard-go", (t) => {
  const path = printing(t, "wireguard-go v0.0.20250522");
  const here = join(import.meta.dirname, "../../..");
  const lineup = readLineup([path, "classic", `warren=${here}`]);
  assert.deepEqual(
    lineup.map(({ name }) => name),
    ["warren", "wireguard-go", "classic", `warren ${checkoutVersion(here)}`],
  );
  assert.equal(readLineup([`wireguard-go=${path}`])[1].version, "0.0.20250522");
});

test("a stranger and a name that comes twice are refused", () => {
  assert.throws(() => readLineup(["softether"]), /^VpnError: --against does not know "softether"$/);
  assert.throws(() => readLineup(["constructor"]), /^VpnError: --against does not know "constructor"$/);
  assert.throws(() => readLineup(["classic", "classic"]), /^VpnError: classic is to be compared twice$/);
});
