/** warren, by its command `warren-wg`: of this checkout, or of another. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { VpnError } from "../../src/base/errors.ts";
import type { Contestant, WireguardProgram } from "../contestant.ts";
import { openWith } from "../controlled-interface.ts";
import { Program } from "../program.ts";

export const ownCheckout: string = fileURLToPath(new URL("../..", import.meta.url));

const command = "bin/warren-wg";

export function warren(): Contestant {
  const wireguard = warrenProgram(ownCheckout);
  return { name: "warren", version: checkoutVersion(ownCheckout), open: openWith(wireguard), wireguard };
}

/** Named after its commit. Throws `invalid-argument` for a folder that is no checkout. */
export function otherWarren(checkout: string): Contestant {
  const version = checkoutVersion(checkout);
  const wireguard = warrenProgram(checkout);
  return { name: `warren ${version}`, version, open: openWith(wireguard), wireguard };
}

export function warrenProgram(checkout: string, environment: Readonly<Record<string, string>> = {}): WireguardProgram {
  const whole = { ...compileCache(checkout), ...environment };
  return {
    start: ({ namespace }, name, signal) =>
      new Program(namespace, [join(checkout, command), "-f", name], signal, whole),
  };
}

/** Code compiled in one run of a checkout serves the next, threads included, as it does where warren is installed. */
export function compileCache(checkout: string): Readonly<Record<string, string>> {
  return { NODE_COMPILE_CACHE: join(checkout, "node_modules/.cache/warren") };
}

/**
 * The commit, such as `cf9ab4e` or `cf9ab4e, changed`, of the checkout of warren at `path`. Throws `invalid-argument` for
 * a folder that is none, or in which nothing is installed.
 */
export function checkoutVersion(path: string): string {
  const remedy = "give the folder of a checkout, with `npm ci` done in it, as --against warren=FOLDER";
  for (const file of [command, "node_modules/koffi", "src/packet/kernels/kernels.wasm"]) {
    if (existsSync(join(path, file))) continue;
    throw new VpnError("invalid-argument", `${path} is no checkout of warren that can run: it has no ${file}`, {
      remedy,
    });
  }
  const git = (...parameters: string[]) => spawnSync("git", ["-C", path, ...parameters], { encoding: "utf8" });
  const commit = git("rev-parse", "--short", "HEAD").stdout?.trim() ?? "";
  const isChanged = git("diff", "--quiet", "HEAD", "--", "bin", "src").status === 1;
  return `${commit === "" ? "of no known commit" : commit}${isChanged ? ", changed" : ""}`;
}
