/** The kinds of values in a configuration file. Each throws a `VpnError` that says what was expected. */
import { Cidr, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";

/** Prefixes between commas; none at all is an empty list. */
export function parsePrefixes(value: string): Cidr[] {
  return parseWords(value).map((word) => Cidr.parse(word));
}

/** What stands between commas and blanks. */
export function parseWords(value: string): string[] {
  return value.split(/[\s,]+/).filter((word) => word !== "");
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

export function parseBoolean(value: string): boolean {
  const lower = value.toLowerCase();
  if (lower === "true" || lower === "false") return lower === "true";
  throw wrong(value, "true or false");
}

/** A resolver's address, or a domain that names are searched in. */
export function parseResolver(word: string): IpAddress | string {
  if (/^[0-9.]+$/.test(word) || word.includes(":")) return IpAddress.parse(word);
  if (/^(?=.{1,253}$)(?!.*[^.]{64})[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(word)) return word;
  throw wrong(word, "the address of a resolver or a search domain");
}

export function wrong(value: string, expected: string): VpnError {
  return new VpnError("invalid-configuration", `${JSON.stringify(value)} is not ${expected}`);
}
