/** All stages of the lab by name, the default first. A stage is loaded when it is asked for. */
import { VpnError } from "../base/errors.ts";
import type { Stage } from "./stage.ts";

const loaders: Readonly<Record<string, () => Promise<Stage>>> = {
  wireguard: async () => (await import("./stages/wireguard.ts")).wireguardStage,
  tun: async () => (await import("./stages/tun.ts")).tunStage,
  prefix: async () => (await import("./stages/prefix.ts")).prefixStage,
  classic: async () => (await import("./stages/classic.ts")).classicStage,
  framing: async () => (await import("./stages/framing.ts")).framingStage,
  xor: async () => (await import("./stages/xor.ts")).xorStage,
  noise: async () => (await import("./stages/noise.ts")).noiseStage,
  replay: async () => (await import("./stages/replay.ts")).replayStage,
  mtu: async () => (await import("./stages/mtu.ts")).mtuStage,
};

export const stageNames: readonly string[] = Object.keys(loaders);

/** Throws `invalid-argument` for a name that no stage has. */
export function loadStage(name: string): Promise<Stage> {
  if (Object.hasOwn(loaders, name)) return loaders[name]();
  throw new VpnError("invalid-argument", `the lab has no stage ${name}`, { remedy: `choose ${stageNames.join(", ")}` });
}
