/**
 * What a test needs of the machine. Where it is not there the test skips and says how to get it; with
 * WARREN_REQUIRE_PEERS=1, as in continuous integration, it fails instead.
 */
import { accessSync, constants } from "node:fs";
import type { TestContext } from "node:test";
import { VpnError } from "../src/base/errors.ts";
import { NetworkNamespace } from "../src/os/namespace.ts";

/** Whether network namespaces can be made here. Use: `if (!requireNamespaces(t)) return;` */
export function requireNamespaces(t: TestContext): boolean {
  try {
    NetworkNamespace.create()[Symbol.dispose]();
    return true;
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    return missing(t, error.line);
  }
}

/** The path of a program a test speaks to. Use: `const ip = requireProgram(t, "ip", "iproute2"); if (ip === undefined) return;` */
export function requireProgram(t: TestContext, name: string, debianPackage: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin", "/usr/bin"];
  const found = folders.map((folder) => `${folder}/${name}`).find(isExecutable);
  if (found === undefined) missing(t, `${name} is not installed: Debian has it in the package ${debianPackage}`);
  return found;
}

/** Whether something else that the test needs is so; `reason` says what is missing where it is not. */
export function requireThat(t: TestContext, holds: boolean, reason: string): boolean {
  return holds || missing(t, reason);
}

function missing(t: TestContext, reason: string): false {
  if (process.env.WARREN_REQUIRE_PEERS === "1") throw new Error(`required, but ${reason}`);
  t.skip(reason);
  return false;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
