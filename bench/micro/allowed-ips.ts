/** Finding the peer of a destination among 1, 1,000 and 10,000 of them. */
import { bench, do_not_optimize, group } from "mitata";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { AllowedIps, allowedIpsNodeWords } from "../../src/wireguard/allowed-ips.ts";

export function measureAllowedIps(): void {
  for (const family of [4, 6] as const) {
    group(`allowed IPs, IPv${family}`, () => {
      for (const peers of [1, 1000, 10_000]) {
        const table = new AllowedIps(new Int32Array((2 * peers + 2) * allowedIpsNodeWords));
        const addresses = Array.from({ length: peers }, (_, i) => addressOf(family, i));
        for (const [i, bytes] of addresses.entries()) table.insert(new Cidr(new IpAddress(bytes), 8 * bytes.length), i);
        let turn = 0;
        bench(`${peers} peers`, () => {
          turn = (turn + 7919) % peers;
          do_not_optimize(table.lookup(addresses[turn], 0, family));
        });
      }
    });
  }
}

function addressOf(family: 4 | 6, i: number): Uint8Array {
  const bytes = new Uint8Array(family === 4 ? 4 : 16).fill(0xfd, 0, 1);
  new DataView(bytes.buffer).setUint16(bytes.length - 2, i);
  return bytes;
}
