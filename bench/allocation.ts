/**
 * What the packet path allocates: each worker's own `total_allocated_bytes`, over ten seconds in which nothing is
 * compiled any more. A worker reads its heap every ten seconds of work, the first time at once; so the third reading
 * ends the warm-up and the fourth ends the measurement. Each reading adds something of its own to what it reads (see
 * docs/performance.md), so the figure is an upper bound.
 */
import { setTimeout as delay } from "node:timers/promises";
import { VpnError } from "../src/base/errors.ts";
import type { WorkerReport } from "../src/dataplane/shared-memory.ts";
import { measureThroughput, waitForTunnel } from "./measurement.ts";
import type { Program } from "./program.ts";
import { openWarren, statusOf } from "./tunnel-pair.ts";
import { TwoHosts } from "./two-hosts.ts";

/** How long the load has to last: three intervals between readings, and what goes by until the load has begun. */
export const loadSeconds = 34;

export interface Allocation {
  readonly packets: number;
  readonly bytes: number;
  readonly bytesPerPacket: number;
}

export interface Allocations {
  readonly outbound: Allocation;
  readonly inbound: Allocation;
}

export async function measureAllocation(signal: AbortSignal): Promise<Allocations> {
  await using resources = new AsyncDisposableStack();
  const hosts = resources.use(new TwoHosts());
  const { a, b } = await openWarren()(hosts, resources, signal);
  await waitForTunnel(hosts, signal);
  const load = measureThroughput(hosts, loadSeconds, signal);
  const [outbound, inbound] = await Promise.all([
    measureWorker(a, "outbound", signal),
    measureWorker(b, "inbound", signal),
    load,
  ]);
  return { outbound, inbound };
}

async function measureWorker(end: Program, role: "outbound" | "inbound", signal: AbortSignal): Promise<Allocation> {
  const readings: WorkerReport[] = [];
  for (let waited = 0; waited < loadSeconds && readings.length < 4; waited++) {
    const report = (await statusOf(end)).workers[role];
    if (report.allocatedBytes !== readings.at(-1)?.allocatedBytes) readings.push(report);
    await delay(1000, undefined, { signal });
  }
  if (readings.length < 4) throw new VpnError("not-available", `the ${role} worker did not read its heap four times`);
  const bytes = readings[3].allocatedBytes - readings[2].allocatedBytes;
  const packets = readings[3].packetsAtReading - readings[2].packetsAtReading;
  return { packets, bytes, bytesPerPacket: bytes / packets };
}
