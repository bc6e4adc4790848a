/** Where configured peers are: as the tunnel reaches them, and where their datagrams go outside. */
import { type HostLookup, lookUpEndpoint } from "./endpoint-lookup.ts";
import type { HostSettings } from "./host-setup.ts";
import type { PathKeeper, PathPlan } from "./path-keeper.ts";
import type { PeerSection } from "./peer-section.ts";
import type { TunnelPeerOptions } from "./tunnel.ts";

/** Peers with every endpoint that they may have outside. */
export type OuterPeers = NonNullable<HostSettings["peers"]>;

export interface LocatedPeers {
  readonly peers: readonly TunnelPeerOptions[];
  readonly outer: OuterPeers;
  /** Of the streams among them, not yet in force. */
  readonly plan: PathPlan;
}

/** Throws `not-available` where a name leads nowhere and there is no other way; then nothing is left open. */
export async function locatePeers(
  configured: readonly PeerSection[],
  paths: PathKeeper,
  hosts: HostLookup,
): Promise<LocatedPeers> {
  const plan = await paths.plan(configured);
  try {
    const peers = await Promise.all(
      configured.map(async ({ endpoint, ways: _ways, trust: _trust, ...peer }) => {
        const found = plan.first(peer.publicKey) ?? (endpoint && (await lookUpEndpoint(endpoint, hosts)));
        return { ...peer, ...(found === undefined ? {} : { endpoint: found }) };
      }),
    );
    const outer = peers.flatMap((peer) => {
      const { publicKey, allowedIps } = peer;
      if (plan.first(publicKey) === undefined) return [peer];
      return [{ allowedIps }, ...plan.outer(publicKey).map((endpoint) => ({ allowedIps: [], endpoint }))];
    });
    return { peers, outer, plan };
  } catch (error) {
    plan.discard();
    throw error;
  }
}
