/** wireguard-go, the yardstick; one that is older than 2025 is refused. */
import { spawnSync } from "node:child_process";
import { VpnError } from "../../src/base/errors.ts";
import type { Contestant, WireguardProgram } from "../contestant.ts";
import { openWith } from "../controlled-interface.ts";
import { Program } from "../program.ts";

const oldestYear = 2025;

/** The one at `path`. Throws what `wireguardGoVersion` does. */
export function wireguardGo(path: string): Contestant {
  const wireguard: WireguardProgram = {
    start: ({ namespace }, name, signal) => new Program(namespace, [path, "-f", name], signal),
  };
  return { name: "wireguard-go", version: wireguardGoVersion(path), open: openWith(wireguard), wireguard };
}

/**
 * The version of the wireguard-go at `path`, such as `0.0.20250522`. Throws `invalid-argument` for one that is older than
 * 2025, since it lacks the offloads of those people run today, and for what is no wireguard-go.
 */
export function wireguardGoVersion(path: string): string {
  const { error, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  const remedy = "give the path of a newer one as --against wireguard-go=PATH, built from its repository's master";
  if (error !== undefined) throw new VpnError("invalid-argument", `cannot run ${path} (${error.message})`, { remedy });
  const version = /^wireguard-go v?([0-9]+\.[0-9]+\.([0-9]{4})[0-9]{4})\b/m.exec(stdout);
  if (version === null) throw new VpnError("invalid-argument", `${path} names no version of wireguard-go`, { remedy });
  if (Number(version[2]) >= oldestYear) return version[1];
  throw new VpnError("invalid-argument", `${path} is wireguard-go ${version[1]}, too old a yardstick`, { remedy });
}
