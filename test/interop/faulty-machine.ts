/** Programs on a machine that is broken in one way: `faulty-machine.c`, compiled when a test wants it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { requireProgram } from "../requirements.ts";

export class FaultyMachine implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "warren-fault-"));
  readonly #library = join(this.#folder, "faulty-machine.so");
  #isBuilt = false;

  /** Whether it can be had; the test skips where not. */
  isReady(t: TestContext): boolean {
    const compiler = requireProgram(t, "cc", "gcc");
    if (compiler === undefined) return false;
    const source = fileURLToPath(new URL("./faulty-machine.c", import.meta.url));
    const flags = ["-O2", "-Wall", "-Werror", "-shared", "-fPIC"];
    if (!this.#isBuilt) execFileSync(compiler, [...flags, "-o", this.#library, source, "-ldl"]);
    this.#isBuilt = true;
    return true;
  }

  /** What a program must have in its environment. */
  environment(fault: string): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#library, FAULT: fault };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}
