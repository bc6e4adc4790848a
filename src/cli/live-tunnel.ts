/**
 * How `warren down` and `warren reload` reach a tunnel that is up: over its control socket, and where that does not
 * answer, by a signal to the process that holds its journal.
 */
import { callTunnel } from "../api/control-client.ts";
import { VpnError } from "../base/errors.ts";
import { networkNamespaceId, pidNamespaceId } from "../os/boot.ts";
import type { JournalOwner } from "../tunnel/journal-content.ts";
import type { TunnelHome } from "./tunnel-control.ts";

/** Where the tunnel of this name lives that answers on its control socket; undefined where none of this network does. */
export async function heardTunnel(name: string): Promise<TunnelHome | undefined> {
  try {
    const home = (await callTunnel(name, "home")) as TunnelHome | undefined;
    return home?.networkNamespace === networkNamespaceId() ? home : undefined;
  } catch (error) {
    if (error instanceof VpnError && error.code === "not-available") return undefined;
    throw error;
  }
}

/** Throws `not-available` where the owner's number means another process here, which the signal would hit. */
export function signalOwner({ tunnel, pid, pidNamespace }: JournalOwner, signal: "SIGTERM" | "SIGHUP"): void {
  if (pidNamespace === pidNamespaceId()) {
    process.kill(pid, signal);
    return;
  }
  throw new VpnError(
    "not-available",
    `${tunnel} belongs to process ${pid} of another PID namespace and does not answer`,
    {
      remedy: "run this command there",
    },
  );
}
