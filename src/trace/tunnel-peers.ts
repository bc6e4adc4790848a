/** Whose packet it is: the peers of a tunnel, as its control socket told of them, with their allowed IPs in a trie. */
import type { PeerDescription, TunnelDescription } from "../api/control-client.ts";
import { Cidr, IpAddress } from "../base/address.ts";
import { AllowedIps, allowedIpsNodeWords } from "../wireguard/allowed-ips.ts";

/** Which peer an address belongs to, and by which of its allowed IPs. */
export interface PeerChoice {
  readonly publicKey: string;
  readonly allowedIp: string;
  readonly endpoint: string | undefined;
}

export class TunnelPeers {
  readonly #peers: readonly PeerDescription[];
  readonly #trie: AllowedIps;

  constructor({ peers }: TunnelDescription) {
    this.#peers = peers;
    const prefixes = peers.reduce((sum, { allowedIps }) => sum + allowedIps.length, 0);
    this.#trie = new AllowedIps(new Int32Array((2 * prefixes + 2) * allowedIpsNodeWords));
    for (const [id, { allowedIps }] of peers.entries()) {
      for (const allowed of allowedIps) this.#trie.insert(Cidr.parse(allowed), id);
    }
  }

  /** Where the peers are, as far as that is known, each place once. */
  get endpoints(): string[] {
    return [...new Set(this.#peers.flatMap(({ endpoint }) => endpoint ?? []))];
  }

  /** The peer's endpoint, found fast; `undefined` where it is nobody's address or the peer has none. */
  endpointOf(address: string): string | undefined {
    return this.#peerOf(IpAddress.parse(address))?.endpoint?.replace(/%[^\]]*/, ""); // the scope is not in a packet
  }

  choose(address: string): PeerChoice | undefined {
    const wanted = IpAddress.parse(address);
    const peer = this.#peerOf(wanted);
    if (peer === undefined) return undefined;
    const covering = peer.allowedIps.map(Cidr.parse).filter((allowed) => allowed.contains(wanted));
    const longest = covering.reduce((best, allowed) => (allowed.prefix > best.prefix ? allowed : best));
    return { publicKey: peer.publicKey, allowedIp: longest.toString(), endpoint: peer.endpoint };
  }

  #peerOf(address: IpAddress): PeerDescription | undefined {
    return this.#peers[this.#trie.lookup(address.bytes, 0, address.family)];
  }
}
