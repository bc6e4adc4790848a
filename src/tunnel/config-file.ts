/**
 * wg-quick's file format (wg-quick(8), wg(8)): sections of `Key = value`, comments from `#` on, keys in any case. Pure:
 * a file in, a description of a tunnel out, or all that is wrong with it at once, each with its line.
 *
 * What a key stands for that this version does not do is refused by name. A VPN that quietly leaves out a line of its
 * configuration is worse than one that does not start.
 */
import { Cidr } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../base/keys.ts";

export interface PeerSection {
  publicKey: PublicKey;
  presharedKey?: PresharedKey;
  allowedIps: Cidr[];
  endpoint?: EndpointName;
  /** 0 is off. */
  persistentKeepaliveSeconds?: number;
}

export interface InterfaceSection {
  privateKey: PrivateKey;
  addresses: Cidr[];
  listenPort?: number;
  mark?: number;
  mtu?: number;
  /** Whether allowed IPs get routes: `Table = auto` or absent. */
  routeAllowedIps: boolean;
}

export interface ConfigFile {
  readonly interface: InterfaceSection;
  readonly peers: readonly PeerSection[];
}

/** An endpoint as written: the host may be a name, to be looked up by whoever can. */
export interface EndpointName {
  readonly host: string;
  readonly port: number;
}

/** Keys of wg-quick that this version does not act upon, and what to do meanwhile. */
const later: Readonly<Record<string, string>> = {
  dns: "set the resolver by hand",
  preup: "run it yourself before",
  postup: "run it yourself after",
  predown: "run it yourself before",
  postdown: "run it yourself after",
  saveconfig: "edit the file by hand",
};
const problemsShown = 5;
const smallestMtu = 576; // RFC 791: what every IPv4 host takes
const smallestIpv6Mtu = 1280; // RFC 8200 §5
const largestMtu = 65_535 - 80;

/** Parses a file. Throws one `invalid-configuration` that names every wrong line and what was expected there. */
export function parseConfigFile(text: string): ConfigFile {
  const problems: string[] = [];
  const sections: Section[] = [];
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.replace(/#.*/, "").trim();
    if (line === "") continue;
    const problem = parseLine(line, i + 1, sections);
    if (problem !== undefined) problems.push(`line ${i + 1}: ${problem}`);
  }
  const interfaces = sections.filter((section) => section.kind === "interface");
  if (interfaces.length !== 1) problems.push(`expected one [Interface] section, found ${interfaces.length}`);
  // What a wrong line was meant to give is not missed as well.
  if (problems.length === 0) for (const section of sections) problems.push(...missing(section));
  if (problems.length === 0) problems.push(...contradictions(sections));
  if (problems.length > 0) throw new VpnError("invalid-configuration", summarise(problems));
  return {
    interface: interfaces[0].values as InterfaceSection,
    peers: sections.filter((section) => section.kind === "peer").map((section) => section.values as PeerSection),
  };
}

/** Splits `host:port` or `[v6]:port`; undefined if it is neither. */
export function parseEndpointName(text: string): EndpointName | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return { host: match[1] ?? match[2], port };
}

type Section = { readonly line: number } & (
  | { readonly kind: "interface"; readonly values: Partial<InterfaceSection> & { addresses: Cidr[] } }
  | { readonly kind: "peer"; readonly values: Partial<PeerSection> & { allowedIps: Cidr[] } }
);

function parseLine(line: string, number: number, sections: Section[]): string | undefined {
  const header = /^\[(.*)\]$/.exec(line)?.[1].toLowerCase();
  if (header === "interface") {
    sections.push({ kind: "interface", line: number, values: { addresses: [], routeAllowedIps: true } });
    return undefined;
  }
  if (header === "peer") {
    sections.push({ kind: "peer", line: number, values: { allowedIps: [] } });
    return undefined;
  }
  if (header !== undefined) return "expected [Interface] or [Peer]";
  const [, key, value] = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line) ?? [];
  const section = sections.at(-1);
  if (key === undefined) return "expected `Key = value`";
  if (value === "") return `${key} has no value`;
  if (section === undefined) return `${key} stands before any section`;
  try {
    const known =
      section.kind === "interface"
        ? setInterfaceKey(section.values, key.toLowerCase(), value)
        : setPeerKey(section.values, key.toLowerCase(), value);
    if (known) return undefined;
  } catch (error) {
    if (error instanceof VpnError) return `${key}: ${error.line}`;
    throw error;
  }
  const meanwhile = later[key.toLowerCase()];
  if (meanwhile !== undefined)
    return `${key} is not supported by this version of warren: remove the line and ${meanwhile}`;
  return `${key} is not a key of [${section.kind === "interface" ? "Interface" : "Peer"}]`;
}

function setInterfaceKey(
  values: Partial<InterfaceSection> & { addresses: Cidr[] },
  key: string,
  value: string,
): boolean {
  switch (key) {
    case "privatekey":
      values.privateKey = PrivateKey.parse(value);
      return true;
    case "address":
      values.addresses.push(...parseList(value));
      return true;
    case "listenport":
      values.listenPort = parseNumber(value, 0, 65_535);
      return true;
    case "mtu":
      values.mtu = parseNumber(value, smallestMtu, largestMtu);
      return true;
    case "fwmark":
      values.mark = value === "off" ? 0 : parseNumber(value, 0, 0xffff_ffff);
      return true;
    case "table":
      if (value !== "auto" && value !== "off") {
        throw new VpnError("invalid-configuration", `${JSON.stringify(value)} is neither auto nor off`);
      }
      values.routeAllowedIps = value === "auto";
      return true;
    default:
      return false;
  }
}

function setPeerKey(values: Partial<PeerSection> & { allowedIps: Cidr[] }, key: string, value: string): boolean {
  switch (key) {
    case "publickey":
      values.publicKey = PublicKey.parse(value);
      return true;
    case "presharedkey":
      values.presharedKey = PresharedKey.parse(value);
      return true;
    case "allowedips":
      values.allowedIps.push(...parseList(value).map((cidr) => cidr.network));
      return true;
    case "endpoint": {
      const endpoint = parseEndpointName(value);
      if (endpoint === undefined) {
        throw new VpnError("invalid-configuration", `${JSON.stringify(value)} is not host:port or [address]:port`);
      }
      values.endpoint = endpoint;
      return true;
    }
    case "persistentkeepalive":
      values.persistentKeepaliveSeconds = value === "off" ? 0 : parseNumber(value, 0, 65_535);
      return true;
    default:
      return false;
  }
}

function missing({ kind, line, values }: Section): string[] {
  if (kind === "interface")
    return values.privateKey === undefined ? [`line ${line}: [Interface] lacks PrivateKey`] : [];
  return values.publicKey === undefined ? [`line ${line}: [Peer] lacks PublicKey`] : [];
}

/** What each line says rightly, and all of them together cannot mean. */
function contradictions(sections: readonly Section[]): string[] {
  const problems: string[] = [];
  const seen = new Map<string, number>();
  for (const { kind, line, values } of sections) {
    if (kind === "interface") {
      const { addresses, mtu } = values;
      if (mtu !== undefined && mtu < smallestIpv6Mtu && addresses.some((address) => address.family === 6)) {
        problems.push(`line ${line}: IPv6 addresses need an MTU of ${smallestIpv6Mtu} or more`);
      }
      continue;
    }
    const key = String(values.publicKey);
    const first = seen.get(key);
    if (first !== undefined) problems.push(`line ${line}: the peer of line ${first} again: join the two sections`);
    seen.set(key, first ?? line);
  }
  return problems;
}

function summarise(problems: readonly string[]): string {
  const more = problems.length - problemsShown;
  return problems.slice(0, problemsShown).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

function parseList(value: string): Cidr[] {
  return value.split(",").map((part) => Cidr.parse(part.trim()));
}

function parseNumber(value: string, least: number, most: number): number {
  const number = /^(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$/.test(value) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new VpnError("invalid-configuration", `${JSON.stringify(value)} is not a number from ${least} to ${most}`);
}
