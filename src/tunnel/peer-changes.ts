/** Brings a live tunnel's peers to what a changed file says, touching only what differs, so that sessions go on. */
import type { Cidr, Endpoint } from "../base/address.ts";
import { PresharedKey } from "../base/keys.ts";
import type { PeerState, Tunnel, TunnelPeerOptions } from "./tunnel.ts";

export type ChangeableTunnel = Pick<Tunnel, "peers" | "addPeer" | "removePeer" | "updatePeer">;

/**
 * `wanted` is the file's peers. `former` has the endpoints that the file named before, by public key: one that the file
 * still names stays where the peer has roamed to.
 */
export function changePeers(
  tunnel: ChangeableTunnel,
  wanted: readonly TunnelPeerOptions[],
  former: ReadonlyMap<string, Endpoint | undefined>,
): void {
  const present = new Map(Array.from(tunnel.peers(), (peer) => [peer.publicKey.toString(), peer]));
  const named = new Set(wanted.map((peer) => peer.publicKey.toString()));
  for (const [key, peer] of present) if (!named.has(key)) tunnel.removePeer(peer.publicKey);
  for (const peer of withoutOverlaps(wanted)) {
    const key = peer.publicKey.toString();
    const live = present.get(key);
    if (live === undefined) tunnel.addPeer(peer);
    else changePeer(tunnel, live, peer, former.get(key));
  }
}

function changePeer(
  tunnel: ChangeableTunnel,
  live: PeerState,
  wanted: TunnelPeerOptions,
  former: Endpoint | undefined,
): void {
  const { publicKey, presharedKey = PresharedKey.none, endpoint, persistentKeepaliveSeconds = 0, allowedIps } = wanted;
  const isMoved = endpoint !== undefined && String(endpoint) !== String(former);
  const change = {
    ...(presharedKey.equals(live.presharedKey)
      ? {}
      : presharedKey.isNone
        ? { removePresharedKey: true }
        : { presharedKey }),
    ...(isMoved ? { endpoint } : {}),
    ...(persistentKeepaliveSeconds === live.persistentKeepaliveSeconds ? {} : { persistentKeepaliveSeconds }),
    ...(sameSet(allowedIps, live.allowedIps) ? {} : { replaceAllowedIps: true, allowedIps }),
  };
  if (Object.keys(change).length > 0) tunnel.updatePeer(publicKey, change);
}

/** Every allowed IP with the peer that has it in the end: the last one that the file gives it to. */
function withoutOverlaps(peers: readonly TunnelPeerOptions[]): TunnelPeerOptions[] {
  const owners = new Map<string, TunnelPeerOptions>();
  for (const peer of peers) for (const allowed of peer.allowedIps) owners.set(allowed.network.toString(), peer);
  return peers.map((peer) => {
    const unique = new Map(peer.allowedIps.map((allowed) => [allowed.network.toString(), allowed.network]));
    return { ...peer, allowedIps: [...unique].flatMap(([text, own]) => (owners.get(text) === peer ? own : [])) };
  });
}

function sameSet(a: readonly Cidr[], b: PeerState["allowedIps"]): boolean {
  const texts = new Set(a.map(String));
  if (texts.size !== b.length) return false;
  for (const cidr of b) if (!texts.has(cidr.toString())) return false;
  return true;
}
