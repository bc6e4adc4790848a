/** Reads `--against`: who is compared with warren. */
import { resolve } from "node:path";
import { VpnError } from "../../src/base/errors.ts";
import type { Contestant } from "../contestant.ts";
import { classic } from "./classic.ts";
import { nullCipher } from "./null-cipher.ts";
import { openvpn } from "./openvpn.ts";
import { otherWarren, warren } from "./warren.ts";
import { wireguardGo } from "./wireguard-go.ts";

export const againstUsage = "wireguard-go=PATH | openvpn[=PATH] | warren=CHECKOUT | classic | null-cipher";

const makers: Readonly<Record<string, (value: string | undefined) => Contestant>> = {
  "wireguard-go": (path) => wireguardGo(path ?? "wireguard-go"),
  openvpn: (path) => openvpn(path),
  warren: (checkout) => otherWarren(resolve(checkout ?? ".")),
  classic: () => classic(),
  "null-cipher": () => nullCipher(),
};

/**
 * warren, and whoever is named; a bare path is a wireguard-go. Throws `invalid-argument` for what is nobody's name, and
 * for two of one name.
 */
export function readLineup(against: readonly string[]): Contestant[] {
  const lineup = [warren(), ...against.map(readContestant)];
  for (const [i, { name }] of lineup.entries()) {
    if (!lineup.slice(0, i).some((other) => other.name === name)) continue;
    throw new VpnError("invalid-argument", `${name} is to be compared twice`, { remedy: "name it once" });
  }
  return lineup;
}

function readContestant(text: string): Contestant {
  const [, name, , value] = /^([a-z-]+)(=(.+))?$/.exec(text) ?? [];
  if (name !== undefined && Object.hasOwn(makers, name)) return makers[name](value);
  if (text.includes("/")) return wireguardGo(text);
  throw new VpnError("invalid-argument", `--against does not know ${JSON.stringify(text)}`, { remedy: againstUsage });
}
