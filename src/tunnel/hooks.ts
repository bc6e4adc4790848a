/**
 * Commands of the operator's around a tunnel's life: PreUp, PostUp, PreDown, PostDown. Each is handed to a shell, with
 * `%i` replaced by the interface's name, which `checkTunnelName` has made harmless there. What they print passes through.
 */
import { spawn } from "node:child_process";
import { VpnError } from "../base/errors.ts";
import { checkTunnelName } from "./state-folder.ts";

export type HookStage = "PreUp" | "PostUp" | "PreDown" | "PostDown";

export interface HookOptions {
  /** Said before each, as the command will be run. */
  readonly log: (line: string) => void;
  /** Ends the command that runs, and the stage with it. */
  readonly signal?: AbortSignal | undefined;
}

const shell = "/bin/sh";
const standardError = 2;

/** Runs them one after the other, until one fails: then throws `hook-failed`. */
export async function runHooks(
  stage: HookStage,
  commands: readonly string[],
  tunnel: string,
  { log, signal }: HookOptions,
): Promise<void> {
  const name = checkTunnelName(tunnel);
  for (const template of commands) {
    const command = template.replaceAll("%i", () => name);
    log(`${stage}: ${command}`);
    const outcome = await run(command, signal);
    if (outcome === 0) continue;
    throw new VpnError("hook-failed", `the ${stage} command ${JSON.stringify(command)} ended with ${outcome}`, {
      remedy: "see what it printed, and mend it or take it out",
    });
  }
}

/** Its output goes where our own messages go: standard output may be somebody's JSON. */
function run(command: string, signal: AbortSignal | undefined): Promise<number | string> {
  return new Promise((resolve) => {
    const { NODE_COMPILE_CACHE: _ours, ...env } = process.env; // our launcher set it, for us and nobody else's code
    const child = spawn(shell, ["-c", command], { env, stdio: ["ignore", standardError, standardError], signal });
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, killedBy) => resolve(killedBy ?? code ?? "no status"));
  });
}
