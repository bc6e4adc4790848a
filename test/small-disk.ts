/** A file system with hardly any room, for what must hold when a disk is full. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { requireNamespaces, requireProgram } from "./requirements.ts";

const pages = 16;
const pageBytes = 4096;
const filler = "fill";

/** Its folder, for as long as the test lasts; `undefined` where the test has to skip. */
export function smallDisk(t: TestContext): string | undefined {
  if (!requireNamespaces(t) || requireProgram(t, "mount", "mount") === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "warren-disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${pages * pageBytes},mode=700`, "tmpfs", folder]);
  t.after(() => {
    execFileSync("umount", ["--recursive", folder]);
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/** Takes all room but so many pages. */
export function fillDisk(folder: string, pagesLeft: number): void {
  makeRoom(folder);
  const path = join(folder, filler);
  assert.throws(() => writeFileSync(path, new Uint8Array((pages + 1) * pageBytes)), { code: "ENOSPC" });
  truncateSync(path, Math.floor(statSync(path).size / pageBytes - pagesLeft) * pageBytes);
}

export function makeRoom(folder: string): void {
  rmSync(join(folder, filler), { force: true });
}
