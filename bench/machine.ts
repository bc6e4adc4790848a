/** What the figures were taken on, and whether the programs that take them are there. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { arch, cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import { VpnError } from "../src/base/errors.ts";
import { tunnelProgram } from "./tunnel-pair.ts";

export interface Machine {
  readonly kernel: string;
  readonly architecture: string;
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  /** Over the last minute, when the bench began: above the number of cores, others were using the machine. */
  readonly loadAverage: number;
}

export function thisMachine(): Machine {
  const [cpu] = cpus();
  return {
    kernel: release(),
    architecture: arch(),
    cpu: cpu?.model.trim() ?? "unknown",
    cores: cpus().length,
    node: process.version,
    loadAverage: Math.round(100 * loadavg()[0]) / 100,
  };
}

const debianPackages = { iperf3: "iperf3", ping: "iputils-ping" } as const;

/** Throws `not-available`, naming the Debian package, where a measuring program is missing. */
export function requirePrograms(): void {
  for (const [program, debianPackage] of Object.entries(debianPackages)) {
    if (spawnSync(program, [program === "ping" ? "-V" : "--version"]).error === undefined) continue;
    throw new VpnError("not-available", `${program} is not installed`, { remedy: `apt-get install ${debianPackage}` });
  }
}

/**
 * The commit, such as `cf9ab4e` or `cf9ab4e, changed`, of the checkout of warren at `path`. Throws `invalid-argument` for
 * a folder that is none, or in which nothing is installed.
 */
export function checkoutVersion(path: string): string {
  const remedy = "give the folder of a checkout, with `npm ci` done in it, as --against warren=FOLDER";
  for (const file of [tunnelProgram, "node_modules/koffi", "src/packet/kernels/kernels.wasm"]) {
    if (existsSync(join(path, file))) continue;
    throw new VpnError("invalid-argument", `${path} is no checkout of warren that can run: it has no ${file}`, {
      remedy,
    });
  }
  const git = (...parameters: string[]) => spawnSync("git", ["-C", path, ...parameters], { encoding: "utf8" });
  const commit = git("rev-parse", "--short", "HEAD").stdout?.trim() ?? "";
  const isChanged = git("diff", "--quiet", "HEAD", "--", "src", "bench").status === 1;
  return `${commit === "" ? "of no known commit" : commit}${isChanged ? ", changed" : ""}`;
}

const oldestYear = 2025;

/**
 * The version of the wireguard-go at `path`, such as `0.0.20250522`. Throws `invalid-argument` for one that is older than
 * 2025, since it lacks the offloads of those people run today, and for what is no wireguard-go.
 */
export function yardstickVersion(path: string): string {
  const { error, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  const remedy = "give the path of a newer one with --against, built from its repository's master";
  if (error !== undefined) throw new VpnError("invalid-argument", `cannot run ${path} (${error.message})`, { remedy });
  const version = /^wireguard-go v?([0-9]+\.[0-9]+\.([0-9]{4})[0-9]{4})\b/m.exec(stdout);
  if (version === null) throw new VpnError("invalid-argument", `${path} names no version of wireguard-go`, { remedy });
  if (Number(version[2]) >= oldestYear) return version[1];
  throw new VpnError("invalid-argument", `${path} is wireguard-go ${version[1]}, too old a yardstick`, { remedy });
}
