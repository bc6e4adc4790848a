/**
 * `warren show`: what `wg show` tells, of every userspace tunnel on this machine, and of warren's own what they drop and
 * what they run on. Secrets are not shown. `--json` prints the objects that docs/control-socket.md describes.
 */
import type { Command } from "commander";
import type { PeerDescription, TunnelDescription } from "../api/control-client.ts";
import type { OwnStatus } from "../api/control-socket.ts";
import { VpnError } from "../base/errors.ts";
import { pathRows } from "./path-rows.ts";
import { formatAge, formatSize } from "./quantities.ts";
import type { Footprint } from "./tunnel-footprint.ts";

interface Shown {
  readonly description: TunnelDescription;
  readonly own: OwnStatus | undefined;
  readonly footprint?: Footprint | undefined;
}

/** Declares the command; what it needs is loaded when it runs. */
export function showCommand(program: Command): void {
  program
    .command("show")
    .description("show the tunnels that are up, warren's and those of other userspace programs")
    .argument("[interface]", "only this one")
    .option("--json", "one JSON array")
    .action(show);
}

async function show(name: string | undefined, options: { readonly json?: boolean }): Promise<void> {
  const { describeTunnel, listControlSockets, ownStatusOf } = await import("../api/control-client.ts");
  const { complaintOf, footprintOf, leftBehind } = await import("./tunnel-footprint.ts");
  const shown: Shown[] = [];
  for (const found of name === undefined ? new Set([...listControlSockets(), ...leftBehind()]) : [name]) {
    try {
      const description = await describeTunnel(found);
      const own = await ownStatusOf(found);
      shown.push({ description, own, footprint: own && footprintOf(found, own.pid) });
    } catch (error) {
      if (!(error instanceof VpnError)) throw error;
      const complaint = complaintOf(found) ?? error;
      if (name !== undefined) throw complaint;
      console.error(`warren: ${complaint.line}`);
    }
  }
  if (options.json === true) console.log(JSON.stringify(shown.map(toJson), null, 2));
  else if (shown.length > 0) console.log(shown.map((tunnel) => toText(tunnel, Date.now())).join("\n\n"));
}

function toJson({ description, own, footprint }: Shown): object {
  const { name, publicKey, listenPort, mark, peers } = description;
  return {
    name,
    publicKey: publicKey ?? null,
    listenPort,
    mark,
    peers: peers.map(({ endpoint, latestHandshakeAt, ...peer }) => ({
      ...peer,
      carriedBy: own?.carried[peer.publicKey] ?? null,
      paths: own?.paths[peer.publicKey] ?? null,
      unansweredInitiations: own === undefined ? null : (own.unanswered[peer.publicKey] ?? 0),
      endpoint: endpoint ?? null,
      latestHandshakeAt: latestHandshakeAt === undefined ? null : new Date(latestHandshakeAt).toISOString(),
    })),
    warren: own === undefined ? null : ownJson(own, footprint),
  };
}

function ownJson({ pid, mtu, aead, drops, offloads }: OwnStatus, footprint: Footprint | undefined): object {
  const { killSwitch = null, dns = null, forwards = false } = footprint ?? {};
  return { pid, mtu, cipher: aead ?? null, drops, offloads, killSwitch, dns, forwards };
}

/** `nowMs` since 1970. */
export function toText({ description, own, footprint }: Shown, nowMs: number): string {
  const { publicKey, listenPort, mark } = description;
  const drops = Object.entries(own?.drops ?? {}).map(([reason, count]) => `${count} ${reason}`);
  const interfaceLines = table([
    ["public key", publicKey ?? "(none)"],
    ["private key", publicKey === undefined ? "(none)" : "(hidden)"],
    ["listening port", listenPort === 0 ? undefined : String(listenPort)],
    ["fwmark", mark === 0 ? undefined : `0x${mark.toString(16)}`],
    ["mtu", own === undefined ? undefined : String(own.mtu)],
    ["cipher", own?.aead],
    ["offloads", own === undefined ? undefined : offloads(own)],
    ["without", own === undefined ? undefined : withoutText(own)],
    ["dropped", own === undefined ? undefined : drops.join(", ") || "nothing"],
    ["kill switch", killSwitchText(footprint)],
    ["dns", footprint?.dns === undefined ? undefined : `through the tunnel (${footprint.dns})`],
    ["forwarding", footprint?.forwards === true ? "what peers send, behind this machine's addresses" : undefined],
  ]);
  // The one heard of last comes first, as with wg.
  const peers = [...description.peers].sort((a, b) => (b.latestHandshakeAt ?? 0) - (a.latestHandshakeAt ?? 0));
  return [
    `interface: ${description.name}\n${interfaceLines}`,
    ...peers.map((peer) => `peer: ${peer.publicKey}\n${table(peerRows(peer, own, nowMs))}`),
  ].join("\n\n");
}

type Row = readonly [name: string, value: string | undefined];

function peerRows(peer: PeerDescription, own: OwnStatus | undefined, nowMs: number): Row[] {
  const unanswered = own?.unanswered[peer.publicKey] ?? 0;
  const { latestHandshakeAt: handshakeAt, receivedBytes, sentBytes, persistentKeepaliveSeconds: seconds } = peer;
  const transfer = `${formatSize(receivedBytes)} received, ${formatSize(sentBytes)} sent`;
  return [
    ["preshared key", peer.hasPresharedKey ? "(hidden)" : undefined],
    ["endpoint", own?.carried[peer.publicKey] ?? peer.endpoint],
    ...pathRows(own?.paths[peer.publicKey], nowMs),
    ["allowed ips", peer.allowedIps.join(", ") || "(none)"],
    ["latest handshake", handshakeText(handshakeAt, unanswered, nowMs)],
    ["transfer", receivedBytes + sentBytes === 0 ? undefined : transfer],
    ["persistent keepalive", seconds === 0 ? undefined : `every ${seconds} second${seconds === 1 ? "" : "s"}`],
  ];
}

function killSwitchText(footprint: Footprint | undefined): string | undefined {
  if (footprint?.killSwitch === undefined) return undefined;
  return footprint.killSwitch === "lan" ? "on, but for the local network" : "on";
}

/** As wg says it, and what a peer leaves unanswered: after a handshake one initiation may be on its way. */
function handshakeText(at: number | undefined, unanswered: number, nowMs: number): string | undefined {
  const count = `(${unanswered} ${unanswered === 1 ? "initiation" : "initiations"} unanswered)`;
  if (at === undefined) return unanswered === 0 ? undefined : `never ${count}`;
  return `${formatAge(at, nowMs)}${unanswered > 1 ? ` ${count}` : ""}`;
}

function table(rows: readonly Row[]): string {
  return rows.flatMap(([name, value]) => (value === undefined ? [] : `  ${name}: ${value}`)).join("\n");
}

function withoutText({ offloads: { off } }: OwnStatus): string | undefined {
  return off.map(({ offload, why }) => `${offload} (${why})`).join(", ") || undefined;
}

function offloads({ offloads: { tun, udp } }: OwnStatus): string {
  const found = { "TSO over IPv4": tun.tcp4, "TSO over IPv6": tun.tcp6, USO: tun.udp };
  const sockets = { UDP_SEGMENT: udp.segmentation, UDP_GRO: udp.receiveOffload };
  return (
    Object.entries({ ...found, ...sockets })
      .flatMap(([name, is]) => (is ? name : []))
      .join(", ") || "none"
  );
}
