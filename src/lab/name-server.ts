/** The name server of the dns host, as a program of its own. */
import type { Host } from "./host.ts";
import { ownProgram, type Program } from "./program.ts";
import { address } from "./topology.ts";

const startTimeoutMs = 15_000;

/** Silent, it hears and says nothing. */
export function startNameServer(dns: Host, silent = false): Program {
  return dns.start(ownProgram("programs/dns-responder", ...address.dns, ...(silent ? ["--silent"] : [])));
}

/** Resolves when it listens. */
export async function listening(nameServer: Program): Promise<void> {
  await nameServer.event("listening", startTimeoutMs);
}
