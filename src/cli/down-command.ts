/** `warren down`: has a tunnel end, or undoes what one that was killed has left. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { VpnError } from "../base/errors.ts";
import type { Journal } from "../tunnel/journal.ts";

/** A tunnel ends within a second, but its hooks may take their time. */
const patienceMs = 60_000;
const lookEveryMs = 10;

/** Declares the command; what it needs is loaded when it runs. */
export function downCommand(program: Command): void {
  program
    .command("down")
    .description("end a tunnel and undo all that was done for it, also after a crash")
    .argument("<config>", "the interface's name, or its configuration file")
    .action(down);
}

async function down(where: string): Promise<void> {
  const { tunnelNameIn } = await import("./config-source.ts");
  const { heardTunnel, signalOwner } = await import("./live-tunnel.ts");
  const { Journal } = await import("../tunnel/journal.ts");
  const name = tunnelNameIn(where);
  const deadline = performance.now() + patienceMs;
  const home = await heardTunnel(name);
  if (home !== undefined) return await endHeard(name, home.pid, deadline);
  const state = Journal.find(name);
  switch (state.kind) {
    case "absent":
      throw await notOurs(name);
    case "dead":
      return await undoLeftovers(state.journal);
    case "live":
      // Who undoes it already would be killed by a second signal, in the middle.
      if (state.owner.role !== "undoing") signalOwner(state.owner, "SIGTERM");
      return await awaitEnd(name, state.owner.pid, deadline);
  }
}

/** Of `warren up` there is nothing in this network; something else may have a tunnel of this name. */
async function notOurs(name: string): Promise<VpnError> {
  const { listControlSockets } = await import("../api/control-client.ts");
  const remedy = listControlSockets().includes(name)
    ? `another program, or another network, has a tunnel of this name: end it as it began, as with \`ip link delete ${name}\``
    : "nothing that `warren up` has done for it is left; `warren show` lists what is up";
  return new VpnError("not-available", `${name} is not up`, { remedy });
}

/** Throws what the tunnel could not undo, even if that has been done since. */
async function endHeard(name: string, pid: number, deadline: number): Promise<void> {
  const { callTunnel } = await import("../api/control-client.ts");
  const failure = await callTunnel(name, "down", { patienceMs }).then(
    () => undefined,
    (error: unknown) => error,
  );
  await awaitEnd(name, pid, deadline); // it may have been killed meanwhile
  if (failure !== undefined) throw failure;
}

/** Waits until a process has let go of a tunnel, and undoes what it has left. */
async function awaitEnd(name: string, pid: number, deadline: number): Promise<void> {
  const { Journal } = await import("../tunnel/journal.ts");
  do {
    const state = Journal.find(name);
    if (state.kind === "absent") return;
    if (state.kind === "dead") return await undoLeftovers(state.journal);
    if (state.owner.pid !== pid) return; // another has taken its place meanwhile
    await sleep(lookEveryMs);
  } while (performance.now() < deadline);
  throw new VpnError("not-available", `${name} has not ended within ${patienceMs / 1000} s (process ${pid})`, {
    remedy: `look what its hooks do, or kill it and run \`warren down ${name}\` again`,
  });
}

async function undoLeftovers(journal: Journal): Promise<void> {
  const { removeDeadSocket } = await import("../api/control-socket.ts");
  const { undoJournal } = await import("../tunnel/managed-tunnel.ts");
  using _journal = journal;
  const log = (line: string) => console.error(`warren: ${line}`);
  const failures = await undoJournal(journal, log);
  await removeDeadSocket(journal.tunnel).catch((error) => failures.push(error));
  if (journal.complaint !== undefined) failures.push(journal.complaint);
  for (const failure of failures.slice(1)) log(failure instanceof VpnError ? failure.line : String(failure));
  if (failures.length > 0) throw failures[0];
}
