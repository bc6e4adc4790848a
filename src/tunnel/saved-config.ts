/**
 * A configuration file written from what a tunnel has become, for SaveConfig: as wg-quick does, the addresses, keys and
 * peers are the live ones, hooks and the like are kept, and comments are lost.
 */
import { realpathSync } from "node:fs";
import type { Cidr } from "../base/address.ts";
import { replaceFile } from "../os/durable-file.ts";
import type { InterfaceSection } from "./interface-section.ts";
import type { PeerState, Tunnel } from "./tunnel.ts";

export interface LiveState {
  readonly tunnel: Pick<Tunnel, "port" | "mark" | "privateKey" | "peers">;
  readonly addresses: readonly Cidr[];
  readonly mtu: number | undefined;
}

/** Replaces the file, readable by its owner alone; through a link, what it leads to. */
export function saveConfig(path: string, section: InterfaceSection, live: LiveState): void {
  replaceFile(realpathSync(path), formatConfig(section, live), { mode: 0o600 });
}

/** The file's text. `section` is what was configured. */
export function formatConfig(section: InterfaceSection, { tunnel, addresses, mtu }: LiveState): string {
  const { hooks, table, resolvers, searchDomains } = section;
  const { privateKey, mark } = tunnel;
  const lines: (readonly [string, string | number | undefined])[] = [
    ...addresses.map((address) => ["Address", address.toString()] as const),
    ["DNS", [...resolvers, ...searchDomains].join(", ") || undefined],
    ["MTU", section.mtu === undefined ? undefined : mtu],
    ["ClampMss", section.clampMss ? undefined : "false"],
    ["Table", table.kind === "table" ? table.table : table.kind === "off" ? "off" : undefined],
    ["SaveConfig", section.saveConfig ? "true" : undefined],
    ...hooks.preUp.map((hook) => ["PreUp", hook] as const),
    ...hooks.postUp.map((hook) => ["PostUp", hook] as const),
    ...hooks.preDown.map((hook) => ["PreDown", hook] as const),
    ...hooks.postDown.map((hook) => ["PostDown", hook] as const),
    ["ListenPort", tunnel.port],
    // A mark that was chosen for a default route is chosen anew.
    ["FwMark", section.mark === undefined || mark === 0 ? undefined : `0x${mark.toString(16)}`],
    ["PrivateKey", privateKey?.reveal()],
  ];
  return ["[Interface]", ...written(lines), "", ...[...tunnel.peers()].flatMap(peerLines)].join("\n");
}

function peerLines(peer: PeerState): string[] {
  const { publicKey, presharedKey, allowedIps, endpoint, persistentKeepaliveSeconds: seconds } = peer;
  const lines = written([
    ["PublicKey", publicKey.toString()],
    ["PresharedKey", presharedKey.isNone ? undefined : presharedKey.reveal()],
    ["AllowedIPs", allowedIps.join(", ") || undefined],
    ["Endpoint", endpoint?.toString()],
    ["PersistentKeepalive", seconds === 0 ? undefined : seconds],
  ]);
  return ["[Peer]", ...lines, ""];
}

function written(lines: readonly (readonly [string, string | number | undefined])[]): string[] {
  return lines.flatMap(([key, value]) => (value === undefined ? [] : [`${key} = ${value}`]));
}
