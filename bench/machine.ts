/** What the figures were taken on, and whether the programs that take them are there. */
import { spawnSync } from "node:child_process";
import { arch, cpus, loadavg, release } from "node:os";
import { VpnError } from "../src/base/errors.ts";

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
