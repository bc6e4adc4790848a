/** A section `[Peer]` of a configuration file: what each key means, and how it is read. */
import type { Cidr } from "../base/address.ts";
import { PresharedKey, PublicKey } from "../base/keys.ts";
import { parseNumberOrOff, parsePrefixes, wrong } from "./config-value.ts";

export interface PeerSection {
  publicKey: PublicKey;
  presharedKey?: PresharedKey;
  allowedIps: Cidr[];
  endpoint?: EndpointName;
  /** 0 is off. */
  persistentKeepaliveSeconds?: number;
}

/** An endpoint as written: the host may be a name, to be looked up by whoever can. */
export interface EndpointName {
  readonly host: string;
  readonly port: number;
}

/** Reads one line, its key in lower case. Whether there is such a key. Throws a `VpnError` that says what was expected. */
export function setPeerKey(
  section: Partial<PeerSection> & { allowedIps: Cidr[] },
  key: string,
  value: string,
): boolean {
  switch (key) {
    case "publickey":
      section.publicKey = PublicKey.parse(value);
      return true;
    case "presharedkey":
      section.presharedKey = PresharedKey.parse(value);
      return true;
    case "allowedips":
      section.allowedIps.push(...parsePrefixes(value).map((cidr) => cidr.network));
      return true;
    case "endpoint": {
      const endpoint = parseEndpointName(value);
      if (endpoint === undefined) throw wrong(value, "host:port or [address]:port");
      section.endpoint = endpoint;
      return true;
    }
    case "persistentkeepalive":
      section.persistentKeepaliveSeconds = parseNumberOrOff(value, 65_535);
      return true;
    default:
      return false;
  }
}

/** Splits `host:port` or `[v6]:port`, where a link-local address may name its interface; undefined if it is neither. */
export function parseEndpointName(text: string): EndpointName | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.=+-]{1,15})?)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return { host: match[1] ?? match[2], port };
}
