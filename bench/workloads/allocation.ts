/**
 * What warren's packet path allocates: each worker's own `total_allocated_bytes`, over ten seconds in which nothing is
 * compiled any more. A worker reads its heap every ten seconds of work, the first time at once; so the third reading
 * ends the warm-up and the fourth ends the measurement. Each reading adds something of its own to what it reads (see
 * docs/performance.md), so the figure is an upper bound.
 */
import { setTimeout as delay } from "node:timers/promises";
import { VpnError } from "../../src/base/errors.ts";
import type { WorkerReport } from "../../src/dataplane/shared-memory.ts";
import type { TunnelStatus } from "../../src/tunnel/tunnel-status.ts";
import { askStatus } from "../controlled-interface.ts";
import { transferTcp } from "../iperf3.ts";
import type { Host } from "../two-hosts.ts";
import { openTunnel, type Workload } from "../workload.ts";

/** How long the load has to last: three intervals between readings, and what goes by until the load has begun. */
const loadSeconds = 34;

const figure = { unit: "bytes/packet", better: "less", digits: 2, target: { of: "value", bound: 1 } } as const;

export const allocation: Workload = {
  name: "allocation",
  outside: 4,
  figures: [
    { ...figure, name: "allocation-outbound" },
    { ...figure, name: "allocation-inbound" },
  ],
  takes: ({ name }) => name === "warren",
  async measure(site) {
    const { hosts, signal } = site;
    await openTunnel(site);
    const [outbound, inbound] = await Promise.all([
      measureWorker(hosts.a, "outbound", signal),
      measureWorker(hosts.b, "inbound", signal),
      transferTcp(hosts, { inside: 4, streams: 1, bothWays: false, seconds: loadSeconds }, signal),
    ]);
    return { "allocation-outbound": outbound, "allocation-inbound": inbound };
  },
};

async function measureWorker(host: Host, role: "outbound" | "inbound", signal: AbortSignal): Promise<number> {
  const readings: WorkerReport[] = [];
  for (let waited = 0; waited < loadSeconds && readings.length < 4; waited++) {
    const { workers } = JSON.parse(await askStatus(host)) as Pick<TunnelStatus, "workers">;
    const report = workers[role];
    if (report.allocatedBytes !== readings.at(-1)?.allocatedBytes) readings.push(report);
    await delay(1000, undefined, { signal });
  }
  if (readings.length < 4) throw new VpnError("not-available", `the ${role} worker did not read its heap four times`);
  const bytes = readings[3].allocatedBytes - readings[2].allocatedBytes;
  return bytes / (readings[3].packetsAtReading - readings[2].packetsAtReading);
}
