/** `warren reload`: has a live tunnel read its configuration file again, and says whether it has. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { VpnError } from "../base/errors.ts";
import type { JournalState } from "../tunnel/journal.ts";
import type { JournalOwner, ReloadOutcome } from "../tunnel/journal-content.ts";
import { notFromFile } from "./tunnel-control.ts";

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
  const { tunnelNameIn } = await import("./config-source.ts");
  const { heardTunnel } = await import("./live-tunnel.ts");
  const name = tunnelNameIn(where);
  const outcome = (await heardTunnel(name)) === undefined ? await reloadBySignal(name) : await reloadHeard(name);
  if (!outcome.ok) throw new VpnError("invalid-configuration", `${name} stays as it was: ${outcome.failure}`);
}

async function reloadHeard(name: string): Promise<ReloadOutcome> {
  const { callTunnel } = await import("../api/control-client.ts");
  const outcome = await callTunnel(name, "reload", { patienceMs });
  if (outcome !== undefined) return outcome as ReloadOutcome;
  throw new VpnError("not-available", `${name} has ended meanwhile`, { remedy: `\`warren up ${name}\` brings it up` });
}

/** For a tunnel without a control socket, such as one whose name another network namespace uses as well. */
async function reloadBySignal(name: string): Promise<ReloadOutcome> {
  const { signalOwner } = await import("./live-tunnel.ts");
  const { Journal } = await import("../tunnel/journal.ts");
  const owner = ownerOf(name, Journal.find(name));
  const before = Journal.reloads(name).length;
  signalOwner(owner, "SIGHUP");
  for (const begun = performance.now(); performance.now() - begun < patienceMs; await sleep(lookEveryMs)) {
    const outcome = Journal.reloads(name)[before];
    if (outcome !== undefined) return outcome;
  }
  throw new VpnError("not-available", `${name} has not answered within ${patienceMs / 1000} s (process ${owner.pid})`);
}

/** Whoever can be asked by a signal. Throws `not-available` where nobody can, with the reason. */
function ownerOf(name: string, state: JournalState): JournalOwner {
  if (state.kind === "dead") state.journal[Symbol.dispose]();
  if (state.kind !== "live" || state.owner.role === "undoing") {
    throw new VpnError("not-available", `${name} is not up`, { remedy: `bring it up with \`warren up ${name}\`` });
  }
  const { owner } = state;
  if (owner.role === "starting") {
    throw new VpnError("not-available", `${name} is still coming up`, {
      remedy: "reload it when `warren up` has returned",
    });
  }
  if (owner.file === undefined) throw new VpnError("not-available", `${name}: ${notFromFile}`);
  if (owner.endsOnHangUp !== true) return owner;
  throw new VpnError("not-available", `${name} does not answer on its control socket, and a signal would end it`, {
    remedy: "end it and bring it up again",
  });
}
