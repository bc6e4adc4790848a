/** Every workload there is, in the order in which they run, with the targets of the ratio to wireguard-go. */
import type { Workload } from "../workload.ts";
import { allocation } from "./allocation.ts";
import { footprint, liveFootprint } from "./footprint.ts";
import { handshakes } from "./handshakes.ts";
import { roundTrips } from "./round-trips.ts";
import { start } from "./start.ts";
import { tcpWorkload } from "./tcp.ts";
import { udpWorkload } from "./udp.ts";

const ratio = (bound: number) => ({ of: "ratio", bound }) as const;

const one = { streams: 1, bothWays: false } as const;
const eight = { streams: 8, bothWays: false } as const;
const both = { streams: 1, bothWays: true } as const;
const within4 = { inside: 4, outside: 4 } as const;
const within6 = { inside: 6, outside: 6 } as const;
const mixed = { inside: 6, outside: 4 } as const;

export const matrix: readonly Workload[] = [
  tcpWorkload({ name: "tcp", ...one, ...within4, target: ratio(1.5), costTarget: ratio(0.75) }),
  tcpWorkload({ name: "tcp-8", ...eight, ...within4, target: ratio(1.5) }),
  tcpWorkload({ name: "tcp-both", ...both, ...within4, target: ratio(1.3) }),
  tcpWorkload({ name: "tcp-6in6", ...one, ...within6 }),
  tcpWorkload({ name: "tcp-8-6in6", ...eight, ...within6 }),
  tcpWorkload({ name: "tcp-both-6in6", ...both, ...within6 }),
  tcpWorkload({ name: "tcp-6in4", ...one, ...mixed }),
  tcpWorkload({ name: "tcp-8-6in4", ...eight, ...mixed }),
  tcpWorkload({ name: "tcp-both-6in4", ...both, ...mixed }),
  udpWorkload({ size: 64, overloadTarget: ratio(2) }),
  udpWorkload({ size: 512 }),
  udpWorkload({ size: 1400, losslessTarget: ratio(1.3) }),
  roundTrips,
  handshakes,
  footprint,
  liveFootprint,
  start,
  allocation,
];

/** What `--quick` leaves out: the same again over other families, and what takes long. */
export const leftOutWhenQuick: ReadonlySet<string> = new Set([
  "tcp-8-6in6",
  "tcp-both-6in6",
  "tcp-6in4",
  "tcp-8-6in4",
  "tcp-both-6in4",
  "memory-live",
  "allocation",
]);
