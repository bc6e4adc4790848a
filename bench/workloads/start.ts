/**
 * Start to ready: from the start of a process to its interface's being up, with its peer, so that packets may pass. The
 * mean of both ends, of which the second starts when the first is ready.
 */
import { VpnError } from "../../src/base/errors.ts";
import { openTunnel, type Workload } from "../workload.ts";

export const start: Workload = {
  name: "ready",
  outside: 4,
  figures: [
    { name: "ready", unit: "ms", better: "less", digits: 0, target: { of: "value", bound: 250 } },
    { name: "memory-ready", unit: "MB", better: "less", digits: 0 },
  ],
  takes: ({ name }) => name !== "openvpn",
  async measure(site) {
    const { a, b, readyMs } = await openTunnel(site);
    if (readyMs === undefined) throw new VpnError("not-available", "its ends are ready only together");
    return {
      ready: (readyMs[0] + readyMs[1]) / 2,
      "memory-ready": (a.residentBytes() + b.residentBytes()) / 2e6,
    };
  },
};
