/** Longest-prefix match by looking at every prefix. */
import type { Cidr, IpAddress } from "../../src/base/address.ts";

export class SlowAllowedIps {
  readonly #owners = new Map<string, { cidr: Cidr; peerId: number }>();

  insert(cidr: Cidr, peerId: number): void {
    this.#owners.set(`${cidr.network}`, { cidr: cidr.network, peerId });
  }

  remove(cidr: Cidr, peerId: number): void {
    if (this.#owners.get(`${cidr.network}`)?.peerId === peerId) this.#owners.delete(`${cidr.network}`);
  }

  removePeer(peerId: number): void {
    for (const { cidr } of [...this.#owners.values()]) this.remove(cidr, peerId);
  }

  entries(peerId: number): string[] {
    return [...this.#owners.values()].filter((entry) => entry.peerId === peerId).map(({ cidr }) => `${cidr}`);
  }

  lookup(address: IpAddress): number {
    let best = { prefix: -1, peerId: -1 };
    for (const { cidr, peerId } of this.#owners.values()) {
      if (cidr.contains(address) && cidr.prefix > best.prefix) best = { prefix: cidr.prefix, peerId };
    }
    return best.peerId;
  }
}
