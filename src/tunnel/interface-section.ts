/** The section `[Interface]` of a configuration file: what each key means, and how it is read. */
import type { Cidr, IpAddress } from "../base/address.ts";
import { PrivateKey } from "../base/keys.ts";
import { routingTable } from "../os/routing-tables.ts";
import { TransportUrl } from "../transport/transport-url.ts";
import {
  parseBoolean,
  parseFilePath,
  parseList,
  parseNumber,
  parseNumberOrOff,
  parsePrefixes,
  parseResolvers,
  wrong,
} from "./config-value.ts";

/**
 * Where the routes of allowed IPs go. `auto`: the main table, and default routes into one of their own behind policy
 * rules. `table`: one table, by number or by its name in /etc/iproute2/rt_tables.
 */
export type TableChoice =
  | { readonly kind: "auto" }
  | { readonly kind: "off" }
  | { readonly kind: "table"; readonly table: number | string };

/** Shell commands in the order of the file, `%i` standing for the interface. */
export interface Hooks {
  preUp: string[];
  postUp: string[];
  preDown: string[];
  postDown: string[];
}

export interface InterfaceSection {
  /** A hook may give it later. */
  privateKey?: PrivateKey;
  addresses: Cidr[];
  listenPort?: number;
  /** 0 is off. */
  mark?: number;
  mtu?: number;
  /** Whether TCP is told to send no segments larger than fit the tunnel. */
  clampMss: boolean;
  table: TableChoice;
  resolvers: IpAddress[];
  searchDomains: string[];
  hooks: Hooks;
  /** Where peers may come by streams. */
  listen: TransportUrl[];
  /** Files of the listening side: its certificate with the chain and its key, PEM, and what to show to a browser. */
  certificate?: string;
  certificateKey?: string;
  webPage?: string;
  /** Whether the file is to be written anew from what the tunnel has become when it goes down. */
  saveConfig: boolean;
}

const smallestMtu = 576; // RFC 791: what every IPv4 host takes
const largestMtu = 65_535 - 80;

export function emptyInterfaceSection(): InterfaceSection {
  return {
    addresses: [],
    clampMss: true,
    table: { kind: "auto" },
    resolvers: [],
    searchDomains: [],
    hooks: { preUp: [], postUp: [], preDown: [], postDown: [] },
    listen: [],
    saveConfig: false,
  };
}

/** Reads one line, its key in lower case. Whether there is such a key. Throws a `VpnError` that says what was expected. */
export function setInterfaceKey(section: InterfaceSection, key: string, value: string): boolean {
  switch (key) {
    case "privatekey":
      section.privateKey = PrivateKey.parse(value);
      return true;
    case "address":
      section.addresses.push(...parsePrefixes(value));
      return true;
    case "listenport":
      section.listenPort = parseNumber(value, 0, 65_535);
      return true;
    case "mtu":
      section.mtu = parseNumber(value, smallestMtu, largestMtu);
      return true;
    case "clampmss":
      section.clampMss = parseBoolean(value);
      return true;
    case "fwmark":
      section.mark = parseNumberOrOff(value, 0xffff_ffff);
      return true;
    case "table":
      section.table = parseTable(value);
      return true;
    case "dns":
      for (const found of parseResolvers(value)) {
        if (typeof found === "string") section.searchDomains.push(found);
        else section.resolvers.push(found);
      }
      return true;
    case "preup":
      section.hooks.preUp.push(value);
      return true;
    case "postup":
      section.hooks.postUp.push(value);
      return true;
    case "predown":
      section.hooks.preDown.push(value);
      return true;
    case "postdown":
      section.hooks.postDown.push(value);
      return true;
    case "listen":
      section.listen.push(...parseList(value, "a place to listen on", parseListenUrl));
      return true;
    case "tlscertificate":
      section.certificate = parseFilePath(value);
      return true;
    case "tlskey":
      section.certificateKey = parseFilePath(value);
      return true;
    case "webpage":
      section.webPage = parseFilePath(value);
      return true;
    case "saveconfig":
      section.saveConfig = parseBoolean(value);
      return true;
    default:
      return false;
  }
}

/** An address of this machine, or * for all, and what to take there. */
export function parseListenUrl(text: string): TransportUrl {
  const url = TransportUrl.parse(text);
  if (url.scheme === "udp") throw wrong(text, "a stream: UDP has its ListenPort");
  if (url.host !== "*" && url.address === undefined) throw wrong(text, "an address of this machine, or * for all");
  return url;
}

function parseTable(value: string): TableChoice {
  const lower = value.toLowerCase();
  if (lower === "auto" || lower === "off") return { kind: lower };
  if (/^[0-9]/.test(value)) return { kind: "table", table: parseNumber(value, 1, 0xffff_ffff) };
  if (/^[A-Za-z_][\w.-]{0,63}$/.test(value)) {
    routingTable(value); // its number may be another by the time it is needed, but there must be one
    return { kind: "table", table: value };
  }
  throw wrong(value, "auto, off, or the number or name of a routing table");
}
