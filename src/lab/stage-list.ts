/** All stages of the lab by name, the default first. A stage is loaded when it is asked for. */
import { VpnError } from "../base/errors.ts";
import type { Stage } from "./stage.ts";

interface Entry {
  /** What there is to see, as the help has it. */
  readonly about: string;
  /** As the stage itself says, for those who have not loaded it. */
  readonly breakages: readonly string[];
  readonly load: () => Promise<Stage>;
}

const entries: Readonly<Record<string, Entry>> = {
  wireguard: {
    about: "a WireGuard tunnel, programs that use it, and nobody who can read it",
    breakages: ["nat", "route", "key", "dns", "forward"],
    load: async () => (await import("./stages/wireguard.ts")).wireguardStage,
  },
  tun: {
    about: "a TUN device made by hand, and a ping answered by hand",
    breakages: ["checksum"],
    load: async () => (await import("./stages/tun.ts")).tunStage,
  },
  prefix: {
    about: "which of several routes a packet takes",
    breakages: ["route"],
    load: async () => (await import("./stages/prefix.ts")).prefixStage,
  },
  classic: {
    about: "warren classic: XOR over TCP, with its key found out",
    breakages: ["nat", "route"],
    load: async () => (await import("./stages/classic.ts")).classicStage,
  },
  framing: {
    about: "the naive VPN, and how TCP tears its packets",
    breakages: [],
    load: async () => (await import("./stages/framing.ts")).framingStage,
  },
  xor: {
    about: "a captured session of warren classic, read",
    breakages: [],
    load: async () => (await import("./stages/xor.ts")).xorStage,
  },
  noise: {
    about: "WireGuard's handshake, byte by byte",
    breakages: [],
    load: async () => (await import("./stages/noise.ts")).noiseStage,
  },
  replay: {
    about: "captured messages sent again, and new keys for old",
    breakages: [],
    load: async () => (await import("./stages/replay.ts")).replayStage,
  },
  mtu: {
    about: "packets that are too long, and TCP in TCP",
    breakages: [],
    load: async () => (await import("./stages/mtu.ts")).mtuStage,
  },
};

export const stageNames: readonly string[] = Object.keys(entries);

/** What `--break` can damage in one stage or another. */
export const breakableParts: readonly string[] = [
  ...new Set(Object.values(entries).flatMap(({ breakages }) => breakages)),
];

/** A line for each stage: its name, what there is to see, and what can be broken. */
export function describeStages(): string[] {
  const width = Math.max(...stageNames.map((name) => name.length));
  return Object.entries(entries).flatMap(([name, { about, breakages }]) => [
    `${name.padEnd(width)}  ${about}`,
    ...(breakages.length === 0 ? [] : [`${" ".repeat(width)}  --break ${breakages.join(", ")}`]),
  ]);
}

/** Throws `invalid-argument` for a name that no stage has. */
export function loadStage(name: string): Promise<Stage> {
  if (Object.hasOwn(entries, name)) return entries[name].load();
  throw new VpnError("invalid-argument", `the lab has no stage ${name}`, { remedy: `choose ${stageNames.join(", ")}` });
}
