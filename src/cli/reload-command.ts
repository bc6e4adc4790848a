/** `warren reload`: has a live tunnel read its configuration file again, and says whether it has. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { VpnError } from "../base/errors.ts";

const patienceMs = 30_000;
const lookEveryMs = 10;

/** Declares the command; what it needs is loaded when it runs. */
export function reloadCommand(program: Command): void {
  program
    .command("reload")
    .description("apply a changed configuration file to a live tunnel without ending its sessions")
    .argument("<config>", "the interface's name, or its configuration file")
    .action(reload);
}

async function reload(where: string): Promise<void> {
  const { readConfig, tunnelNameIn } = await import("./config-source.ts");
  const { Journal } = await import("../tunnel/journal.ts");
  const name = tunnelNameIn(where);
  const state = Journal.find(name);
  if (state.kind !== "live") {
    if (state.kind === "dead") state.journal[Symbol.dispose]();
    throw new VpnError("not-available", `${name} is not up`, { remedy: `bring it up with \`warren up ${name}\`` });
  }
  const { file, pid } = state.owner;
  if (file === undefined) {
    throw new VpnError("not-available", `${name} was configured from standard input, which cannot be read again`, {
      remedy: "bring it up from a file",
    });
  }
  await readConfig(file); // what is wrong with it is said here as well, line by line
  const before = Journal.reloads(name).length;
  process.kill(pid, "SIGHUP");
  for (const begun = performance.now(); performance.now() - begun < patienceMs; await sleep(lookEveryMs)) {
    const outcome = Journal.reloads(name)[before];
    if (outcome?.ok === true) return;
    if (outcome?.ok === false)
      throw new VpnError("invalid-configuration", `${name} stays as it was: ${outcome.failure}`);
  }
  throw new VpnError("not-available", `${name} has not answered within ${patienceMs / 1000} s (process ${pid})`);
}
