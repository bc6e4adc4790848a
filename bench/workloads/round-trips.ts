/** Round trips through the tunnel: while nothing else passes it, and beside one TCP stream the same way. */
import { setTimeout as delay } from "node:timers/promises";
import { VpnError } from "../../src/base/errors.ts";
import { transferTcp } from "../iperf3.ts";
import { ping } from "../ping.ts";
import { percentile } from "../result.ts";
import { openTunnel, type Target, type Workload } from "../workload.ts";

const intervalSeconds = 0.005;
const target: Target = { of: "ratio", bound: 1, tolerance: 0.05 };
const figure = { unit: "ms", better: "less", digits: 3 } as const;

export const roundTrips: Workload = {
  name: "rtt",
  outside: 4,
  figures: [
    { ...figure, name: "rtt-idle-p50", target },
    { ...figure, name: "rtt-idle-p99" },
    { ...figure, name: "rtt-loaded-p50", target },
    { ...figure, name: "rtt-loaded-p99" },
  ],
  async measure(site) {
    const { hosts, signal, seconds, isQuick } = site;
    await openTunnel(site);
    await delay(200, undefined, { signal }); // let what the handshake set going come to rest
    const count = isQuick ? 250 : Math.round(seconds / intervalSeconds);
    const options = ["-c", String(count), "-i", String(intervalSeconds), "-W", "1"];
    const measure = async (): Promise<number[]> => {
      const times = await ping(hosts, 4, options, signal);
      if (times.length >= 0.9 * count) return times;
      throw new VpnError("not-available", `${times.length} of ${count} pings came back`);
    };
    const idle = await measure();
    const loadSeconds = count * intervalSeconds + 1.5;
    const load = transferTcp(
      hosts,
      { inside: 4, streams: 1, bothWays: false, seconds: Math.ceil(loadSeconds) },
      signal,
    );
    load.catch(() => undefined); // awaited below, unless the pings fail first
    await delay(700, undefined, { signal }); // a stream opens its windows
    const loaded = await measure();
    await load;
    return {
      "rtt-idle-p50": percentile(idle, 0.5),
      "rtt-idle-p99": percentile(idle, 0.99),
      "rtt-loaded-p50": percentile(loaded, 0.5),
      "rtt-loaded-p99": percentile(loaded, 0.99),
    };
  },
};
