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
  /** As the tunnel writes them, which is how a network is written. */
  readonly #allowed: readonly ReadonlySet<string>[];

  constructor({ peers }: TunnelDescription) {
    this.#peers = peers;
    this.#allowed = peers.map(({ allowedIps }) => new Set(allowedIps));
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

  /** Whether there are peers that nobody knows where they are, until they come. */
  get awaited(): boolean {
    return this.#peers.some(({ endpoint }) => endpoint === undefined);
  }

  /** The peer's endpoint, found fast; `undefined` where it is nobody's address or the peer has none. */
  endpointOf(address: string): string | undefined {
    return this.#peers[this.#idOf(IpAddress.parse(address))]?.endpoint?.replace(/%[^\]]*/, ""); // the scope is not in a packet
  }

  choose(address: string): PeerChoice | undefined {
    const wanted = IpAddress.parse(address);
    const id = this.#idOf(wanted);
    if (id < 0) return undefined;
    const { publicKey, endpoint } = this.#peers[id];
    for (let prefix = wanted.bits; prefix >= 0; prefix--) {
      const allowedIp = new Cidr(wanted, prefix).network.toString();
      if (this.#allowed[id].has(allowedIp)) return { publicKey, allowedIp, endpoint };
    }
    return undefined;
  }

  #idOf(address: IpAddress): number {
    return this.#trie.lookup(address.bytes, 0, address.family);
  }
}
