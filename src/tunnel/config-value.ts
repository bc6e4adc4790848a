/** The kinds of values in a configuration file. Each throws a `VpnError` that says what was expected. */
import { Cidr, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";

/** Prefixes between commas; none at all is an empty list. */
export function parsePrefixes(value: string): Cidr[] {
  return parseList(value, "a list of prefixes", (word) => Cidr.parse(word));
}

/** Resolvers and search domains between commas. */
export function parseResolvers(value: string): (IpAddress | string)[] {
  return parseList(value, "a list of resolvers", parseResolver);
}

/** What stands between commas and blanks. Throws one error for every word that is wrong. */
export function parseList<T>(value: string, what: string, parse: (word: string) => T): T[] {
  const words = value.split(/[\s,]+/).filter((word) => word !== "");
  if (words.length === 0 && value !== "") throw wrong(value, what);
  const errors: VpnError[] = [];
  const parsed = words.flatMap((word) => {
    try {
      return [parse(word)];
    } catch (error) {
      if (!(error instanceof VpnError)) throw error;
      errors.push(error);
      return [];
    }
  });
  if (errors.length === 0) return parsed;
  const remedies = new Set(errors.flatMap(({ remedy }) => remedy ?? []));
  throw new VpnError("invalid-configuration", errors.map(({ message }) => message).join("; "), {
    ...(remedies.size === 0 ? {} : { remedy: [...remedies].join(", ") }),
  });
}

/** A whole number, decimal or hexadecimal after 0x. */
export function parseNumber(value: string, least: number, most: number): number {
  const number = /^(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$/.test(value) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw wrong(value, `a number from ${least} to ${most}`);
}

/** As `parseNumber`, with `off` for 0. */
export function parseNumberOrOff(value: string, most: number): number {
  return value.toLowerCase() === "off" ? 0 : parseNumber(value, 0, most);
}

/** A file, which must not depend on where somebody stands. */
export function parseFilePath(value: string): string {
  if (value.startsWith("/") && !value.includes("\0")) return value;
  throw wrong(value, "the path of a file, from / on");
}

export function parseBoolean(value: string): boolean {
  const lower = value.toLowerCase();
  if (lower === "true" || lower === "false") return lower === "true";
  throw wrong(value, "true or false");
}

/** A resolver's address, or a domain that names are searched in. */
function parseResolver(word: string): IpAddress | string {
  if (/^[0-9.]+$/.test(word) || word.includes(":")) return IpAddress.parse(word);
  if (/^(?=.{1,253}$)(?!.*[^.]{64})[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(word)) return word;
  throw wrong(word, "the address of a resolver or a search domain");
}

export function wrong(value: string, expected: string): VpnError {
  return new VpnError("invalid-configuration", `${JSON.stringify(value)} is not ${expected}`);
}
