/**
 * Stands in for those who come by streams with addresses of this machine's loopback network, 127.128.0.0/10: one source,
 * one address, chosen by a secret so that nobody can choose to share somebody else's. Who cannot be told apart from
 * others, behind a proxy on this machine, has one of their own for each connection.
 */
import { createHmac, randomBytes } from "node:crypto";
import { IpAddress } from "../base/address.ts";

export class SourceAddresses {
  readonly #secret = randomBytes(32);

  of(source: string | undefined): IpAddress {
    const bytes = source === undefined ? randomBytes(3) : createHmac("sha256", this.#secret).update(source).digest();
    return new IpAddress(Uint8Array.of(127, 128 | (bytes[0] & 63), bytes[1], bytes[2]));
  }
}
