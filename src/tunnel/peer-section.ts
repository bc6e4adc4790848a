/** A section `[Peer]` of a configuration file: what each key means, and how it is read. */
import type { Cidr } from "../base/address.ts";
import { PresharedKey, PublicKey } from "../base/keys.ts";
import { TransportUrl } from "../transport/transport-url.ts";
import { parseFilePath, parseList, parseNumberOrOff, parsePrefixes, wrong } from "./config-value.ts";

export interface PeerSection {
  publicKey: PublicKey;
  presharedKey?: PresharedKey;
  allowedIps: Cidr[];
  /** Where it is reached by UDP: the first such of `ways`. */
  endpoint?: EndpointName;
  /** All ways to it, the preferred one first. */
  ways?: Way[];
  /** Whose word counts for the peer's certificate, where a way has one. */
  trust?: Trust;
  /** 0 is off. */
  persistentKeepaliveSeconds?: number;
}

/** An endpoint as written: the host may be a name, to be looked up by whoever can. */
export interface EndpointName {
  readonly host: string;
  readonly port: number;
}

export type Way =
  | { readonly kind: "udp"; readonly endpoint: EndpointName }
  | { readonly kind: "stream"; readonly url: TransportUrl };

export interface Trust {
  /** A file of certificates in place of the machine's own authorities, or `any`: whoever comes. */
  authority?: string;
  /** The name to ask for and to check, in place of the endpoint's host. */
  name?: string;
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
      const ways = parseList(value, "an endpoint", parseWay);
      section.ways = [...(section.ways ?? []), ...ways];
      const first = section.ways.find((way) => way.kind === "udp");
      if (first !== undefined) section.endpoint = first.endpoint;
      return true;
    }
    case "tlsauthority":
      section.trust = { ...section.trust, authority: value.toLowerCase() === "any" ? "any" : parseFilePath(value) };
      return true;
    case "tlsname":
      if (!/^[A-Za-z0-9._:-]{1,253}$/.test(value)) throw wrong(value, "the name in a certificate");
      section.trust = { ...section.trust, name: value };
      return true;
    case "persistentkeepalive":
      section.persistentKeepaliveSeconds = parseNumberOrOff(value, 65_535);
      return true;
    default:
      return false;
  }
}

/** `host:port` is UDP's, and so is udp://; other URLs are streams. */
function parseWay(text: string): Way {
  if (text.includes("://")) {
    const url = TransportUrl.parse(text);
    if (url.scheme === "any" || url.host === "*") throw wrong(text, "an endpoint: any and * are to listen on");
    if (url.scheme !== "udp") return { kind: "stream", url };
    return { kind: "udp", endpoint: { host: url.host, port: url.port } };
  }
  const endpoint = parseEndpointName(text);
  if (endpoint === undefined) throw wrong(text, "host:port, [address]:port, or a URL such as tls://host:443");
  return { kind: "udp", endpoint };
}

/** Splits `host:port` or `[v6]:port`, where a link-local address may name its interface; undefined if it is neither. */
export function parseEndpointName(text: string): EndpointName | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.=+-]{1,15})?)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return { host: match[1] ?? match[2], port };
}
