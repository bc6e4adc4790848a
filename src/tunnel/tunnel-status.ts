/** How a tunnel fares, as plain data: what commands print as JSON and programs watch. */
import type { DropReason } from "../base/errors.ts";
import type { AeadName } from "../dataplane/packet-aead.ts";
import type { WorkerReport } from "../dataplane/shared-memory.ts";
import type { TunDevice } from "../os/tun-device.ts";
import type { UdpTransport } from "../transport/udp.ts";
import type { Offloads } from "./offload-status.ts";
import type { PeerPathsReport } from "./path-report.ts";
import type { ProtocolDriver } from "./protocol-driver.ts";

export interface PeerStatus {
  readonly publicKey: string;
  readonly endpoint: string | undefined;
  readonly lastHandshakeAt: number | undefined;
  /** Since the last handshake. */
  readonly unansweredInitiations: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface TunnelStatus {
  readonly name: string;
  readonly port: number;
  readonly mtu: number;
  readonly aead: AeadName | undefined;
  readonly offloads: Offloads;
  readonly peers: readonly PeerStatus[];
  /** Of the peers that have several ways, or one by a stream, by public key. */
  readonly paths: Readonly<Record<string, PeerPathsReport>>;
  readonly drops: Partial<Record<DropReason, number>>;
  readonly workers: { readonly outbound: WorkerReport; readonly inbound: WorkerReport };
}

export function statusOf(driver: ProtocolDriver, tun: TunDevice, transport: UdpTransport, mtu: number): TunnelStatus {
  const { device, plane, offloads } = driver;
  return {
    name: tun.name,
    port: transport.port,
    mtu,
    aead: plane.aead,
    offloads: offloads.current,
    peers: Array.from(device.peers, (peer) => ({
      publicKey: peer.publicKey.toString(),
      endpoint: driver.resolve(peer.endpoint)?.toString(),
      lastHandshakeAt: peer.lastHandshakeAt,
      unansweredInitiations: peer.unansweredInitiations,
      ...plane.peers.transfer(peer.id),
    })),
    paths: driver.pathsReport(),
    drops: plane.memory.drops(),
    workers: { outbound: plane.memory.report("outbound"), inbound: plane.memory.report("inbound") },
  };
}
