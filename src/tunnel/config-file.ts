/**
 * wg-quick's file format (wg-quick(8), wg(8)): sections of `Key = value`, comments from `#` on, keys in any case. A
 * file in, a description of a tunnel out, or all that is wrong with it at once, each with its line. Pure, but that the
 * name of a routing table must be one on this machine.
 *
 * A key that is not known is refused by name. A VPN that quietly leaves out a line of its configuration is worse than
 * one that does not start.
 */
import { VpnError } from "../base/errors.ts";
import { PublicKey } from "../base/keys.ts";
import { native } from "../crypto/native.ts";
import { emptyInterfaceSection, type InterfaceSection, setInterfaceKey } from "./interface-section.ts";
import { type PeerSection, setPeerKey } from "./peer-section.ts";

export interface ConfigFile {
  readonly interface: InterfaceSection;
  readonly peers: readonly PeerSection[];
  /** What is allowed and perhaps not meant, each with its line, for the log. */
  readonly remarks: readonly string[];
}

/** Base64 or hexadecimal, perhaps with a character lost. No complaint quotes it: it may be a private one. */
const looksLikeKey = /[A-Za-z0-9+/]{40}/;
/** What complains of these quotes nothing. */
const keysAreRead: ReadonlySet<string> = new Set(["privatekey", "publickey", "presharedkey"]);
/** These may be given any number of times, and add up. */
const listKeys: ReadonlySet<string> = new Set(
  "address dns preup postup predown postdown allowedips endpoint listen".split(" "),
);
const smallestIpv6Mtu = 1280; // RFC 8200 §5

/**
 * Parses a file. Throws one `invalid-configuration` that names every wrong line and what was expected there, each on a
 * line of its own.
 */
export function parseConfigFile(text: string): ConfigFile {
  const problems: Problem[] = [];
  const sections: Section[] = [];
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.replace(/#.*/, "").trim();
    if (line === "") continue;
    const what = parseLine(line, i + 1, sections);
    if (what !== undefined) problems.push({ line: i + 1, what });
  }
  const interfaces = sections.filter((section) => section.kind === "interface");
  if (interfaces.length !== 1) {
    problems.push({ line: 0, what: `expected one [Interface] section, found ${interfaces.length}` });
  }
  // What a wrong line was meant to give is not missed as well.
  if (problems.length === 0) problems.push(...sections.flatMap(missing));
  if (problems.length === 0) problems.push(...contradictions(sections));
  if (problems.length > 0) throw new VpnError("invalid-configuration", summarise(problems));
  return {
    interface: interfaces[0].values,
    peers: sections.filter((section) => section.kind === "peer").map((section) => section.values as PeerSection),
    remarks: overlaps(sections),
  };
}

type Section = {
  readonly line: number;
  /** What keys were given, by their names in lower case. */
  readonly given: Map<string, { readonly line: number; readonly value: string }>;
} & (
  | { readonly kind: "interface"; readonly values: InterfaceSection }
  | { readonly kind: "peer"; readonly values: Partial<PeerSection> & Pick<PeerSection, "allowedIps"> }
);

interface Problem {
  /** 0 where it is about the file as a whole. */
  readonly line: number;
  readonly what: string;
}

function parseLine(line: string, number: number, sections: Section[]): string | undefined {
  const header = /^\[(.*)\]$/.exec(line)?.[1].trim().toLowerCase();
  if (header === "interface") {
    sections.push({ kind: "interface", line: number, given: new Map(), values: emptyInterfaceSection() });
    return undefined;
  }
  if (header === "peer") {
    sections.push({ kind: "peer", line: number, given: new Map(), values: { allowedIps: [] } });
    return undefined;
  }
  if (header !== undefined) return "expected [Interface] or [Peer]";
  if (line.includes("\0")) return "there is a NUL byte in it";
  const [, key, value] = /^([A-Za-z]{1,30})\s*=\s*(.*)$/.exec(line) ?? [];
  const section = sections.at(-1);
  if (key === undefined) return "expected `Key = value`";
  const lower = key.toLowerCase();
  if (value === "" && lower !== "allowedips") return `${key} has no value`; // a peer may have none, as for wg(8)
  if (section === undefined) return `${key} stands before any section`;
  const earlier = section.given.get(lower);
  if (earlier !== undefined && !listKeys.has(lower) && earlier.value !== value) {
    return `${key} was another in line ${earlier.line}: keep one`;
  }
  try {
    const known =
      section.kind === "interface"
        ? setInterfaceKey(section.values, lower, value)
        : setPeerKey(section.values, lower, value);
    if (known) section.given.set(lower, { line: number, value });
    return known ? undefined : `${key} is not a key of [${section.kind === "interface" ? "Interface" : "Peer"}]`;
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    if (keysAreRead.has(lower) || !looksLikeKey.test(value)) return `${key}: ${error.line}`;
    return `${key}: here stands what looks like a key`;
  }
}

function missing({ kind, line, values }: Section): Problem[] {
  if (kind === "peer") return values.publicKey === undefined ? [{ line, what: "[Peer] lacks PublicKey" }] : [];
  const { privateKey, hooks } = values;
  // wg-quick(8) has a hook fetch it from a safer place: PostUp = wg set %i private-key <(pass ...)
  if (privateKey !== undefined || hooks.postUp.length > 0) return [];
  return [{ line, what: "[Interface] lacks PrivateKey" }];
}

/** What each line says rightly, and all of them together cannot mean. */
function contradictions(sections: readonly Section[]): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, number>();
  const own = publicKeyOf(sections);
  for (const { kind, line, values } of sections) {
    if (kind === "interface") {
      const { addresses, mtu, listen, certificate, certificateKey } = values;
      const secure = listen.find(({ isSecure }) => isSecure);
      if (secure !== undefined && (certificate === undefined || certificateKey === undefined)) {
        problems.push({ line, what: `${secure} speaks TLS, which needs TlsCertificate and TlsKey` });
      }
      if (mtu !== undefined && mtu < smallestIpv6Mtu && addresses.some((address) => address.family === 6)) {
        problems.push({ line, what: `IPv6 addresses need an MTU of ${smallestIpv6Mtu} or more` });
      }
      continue;
    }
    const key = String(values.publicKey);
    const first = seen.get(key);
    if (first !== undefined) problems.push({ line, what: `the peer of line ${first} again: join the two sections` });
    seen.set(key, first ?? line);
    if (key === own) problems.push({ line, what: "the peer has this interface's own key: give the other side's" });
  }
  return problems;
}

function publicKeyOf(sections: readonly Section[]): string | undefined {
  const privateKey = sections.find((section) => section.kind === "interface")?.values.privateKey;
  return privateKey === undefined ? undefined : new PublicKey(native.publicKey(privateKey.bytes)).toString();
}

/** As in the kernel, an allowed IP belongs to the peer that was given it last. */
function overlaps(sections: readonly Section[]): string[] {
  const owners = new Map<string, number>();
  const remarks: string[] = [];
  for (const { kind, line, values } of sections) {
    if (kind === "interface") continue;
    for (const allowed of values.allowedIps) {
      const text = allowed.toString();
      const owner = owners.get(text);
      if (owner !== undefined && owner !== line) {
        remarks.push(`line ${line}: this peer takes ${text} from that of line ${owner}: the later one has it`);
      }
      owners.set(text, line);
    }
  }
  return remarks;
}

/** One complaint as it is; several each on a line of its own, what is wrong with lines in a row said once. */
function summarise(problems: readonly Problem[]): string {
  const runs: { from: number; to: number; what: string }[] = [];
  for (const { line, what } of problems) {
    const last = runs.at(-1);
    if (last?.what === what && last.to === line - 1) last.to = line;
    else runs.push({ from: line, to: line, what });
  }
  const said = runs.map(({ from, to, what }) => {
    if (from === 0) return what;
    return `${from === to ? `line ${from}` : `lines ${from} to ${to}`}: ${what}`;
  });
  return said.length === 1 ? said[0] : [`${problems.length} mistakes`, ...said].join("\n  ");
}
