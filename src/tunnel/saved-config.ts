/**
 * A configuration file written from what a tunnel has become, for SaveConfig: as wg-quick does, the addresses, keys and
 * peers are the live ones, hooks and the like are kept, and comments are lost.
 */
import { realpathSync } from "node:fs";
import type { Cidr } from "../base/address.ts";
import { replaceFile } from "../os/durable-file.ts";
import type { InterfaceSection } from "./interface-section.ts";
import { hasPaths, type PathPeer, wayText } from "./path-keeper.ts";
import type { PeerState, Tunnel } from "./tunnel.ts";

export interface LiveState {
  readonly tunnel: Pick<Tunnel, "port" | "mark" | "privateKey" | "peers">;
  readonly addresses: readonly Cidr[];
  readonly mtu: number | undefined;
  /** The peers as configured: of several ways the file keeps all, not the one that is gone at the moment. */
  readonly configured?: readonly PathPeer[];
}

/** Replaces the file, readable by its owner alone; through a link, what it leads to. */
export function saveConfig(path: string, section: InterfaceSection, live: LiveState): void {
  replaceFile(realpathSync(path), formatConfig(section, live), { mode: 0o600 });
}

/** The file's text. `section` is what was configured. */
export function formatConfig(section: InterfaceSection, live: LiveState): string {
  const { tunnel, addresses, mtu, configured = [] } = live;
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
    ["Listen", section.listen.map((url) => url.reveal()).join(", ") || undefined],
    ["TlsCertificate", section.certificate],
    ["TlsKey", section.certificateKey],
    ["WebPage", section.webPage],
    // A mark that was chosen for a default route is chosen anew.
    ["FwMark", section.mark === undefined || mark === 0 ? undefined : `0x${mark.toString(16)}`],
    ["PrivateKey", privateKey?.reveal()],
  ];
  return [
    "[Interface]",
    ...written(lines),
    "",
    ...[...tunnel.peers()].flatMap((peer) => peerLines(peer, configured)),
  ].join("\n");
}

function peerLines(peer: PeerState, configured: readonly PathPeer[]): string[] {
  const { publicKey, presharedKey, allowedIps, endpoint, persistentKeepaliveSeconds: seconds } = peer;
  const kept = configured.find((other) => other.publicKey.equals(publicKey) && hasPaths(other));
  // Who came by a stream cannot be reached where they came from.
  const present = endpoint?.carriage === undefined ? endpoint?.toString() : undefined;
  const lines = written([
    ["PublicKey", publicKey.toString()],
    ["PresharedKey", presharedKey.isNone ? undefined : presharedKey.reveal()],
    ["AllowedIPs", [...allowedIps].join(", ") || undefined],
    ["Endpoint", kept === undefined ? present : kept.ways?.map(wayText).join(", ")],
    ["TlsAuthority", kept?.trust?.authority],
    ["TlsName", kept?.trust?.name],
    ["PersistentKeepalive", seconds === 0 ? undefined : seconds],
  ]);
  return ["[Peer]", ...lines, ""];
}

function written(lines: readonly (readonly [string, string | number | undefined])[]): string[] {
  return lines.flatMap(([key, value]) => (value === undefined ? [] : [`${key} = ${value}`]));
}
