/** What a tunnel has in force on this machine beyond its interface, by its journal: that of a killed one, too. */
import { VpnError } from "../base/errors.ts";
import type { Deed } from "../tunnel/deed.ts";
import { forwardingTable } from "../tunnel/forwarding.ts";
import { type Glance, Journal } from "../tunnel/journal.ts";
import { KillSwitch } from "../tunnel/kill-switch.ts";

export interface Footprint {
  /** `lan` lets the local network pass. */
  readonly killSwitch: "strict" | "lan" | undefined;
  /** Where the tunnel's resolvers were written, or the program that they were handed to. */
  readonly dns: string | undefined;
  /** Whether it forwards what peers send. */
  readonly forwards: boolean;
}

/** Of the live tunnel of that process; undefined where it keeps no journal here, as another program's does not. */
export function footprintOf(name: string, pid: number): Footprint | undefined {
  const found = glance(name);
  return found?.isLive === true && found.owner?.pid === pid ? summarise(name, found.deeds) : undefined;
}

/** The tunnels whose process has died without undoing what it did. */
export function leftBehind(): string[] {
  try {
    return Journal.names().filter((name) => complaintOf(name) !== undefined);
  } catch {
    return []; // for whoever may not look there
  }
}

/** That a tunnel was killed and what it has left; undefined where it has left nothing, or lives. */
export function complaintOf(name: string): VpnError | undefined {
  const found = glance(name);
  if (found?.isLive === true) return undefined;
  const deeds = found?.deeds ?? [];
  const { killSwitch, dns } = summarise(name, deeds);
  const isShut = killSwitch !== undefined || KillSwitch.isLeft(name);
  if (!isShut && deeds.length === 0) return undefined;
  const others = [
    ...(deeds.some(({ kind }) => kind === "rule") ? ["policy rules"] : []),
    ...(dns === undefined ? [] : [`resolvers (${dns})`]),
    ...(deeds.some(({ kind }) => kind === "parameter") ? ["kernel parameters"] : []),
  ];
  const left = others.length === 0 ? "" : `; left are ${others.join(", ")}`;
  const what = `${name} is not up: its process died${left}`;
  const remedy = `\`warren down ${name}\` undoes what is left${isShut ? "; its kill switch is still in force" : ""}`;
  return new VpnError("not-available", what, { remedy });
}

function glance(name: string): Glance | undefined {
  try {
    return Journal.glance(name);
  } catch {
    return undefined; // for whoever may not look there, and for names that can be no tunnel of ours
  }
}

function summarise(name: string, deeds: readonly Deed[]): Footprint {
  const killSwitch = deeds.find((deed) => deed.kind === "kill-switch");
  return {
    killSwitch: killSwitch && (killSwitch.lan === true ? "lan" : "strict"),
    dns: deeds.map(resolverOf).find((found) => found !== undefined),
    forwards: deeds.some((deed) => deed.kind === "table" && deed.name === forwardingTable(name)),
  };
}

function resolverOf(deed: Deed): string | undefined {
  if (deed.kind === "file") return deed.path;
  if (deed.kind === "resolvconf") return "resolvconf";
  return deed.kind === "resolved" ? "systemd-resolved" : undefined;
}
