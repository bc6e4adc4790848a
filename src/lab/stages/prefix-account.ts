/** What the steps of the stage `prefix` find out, and how they read. Pure. */
import type { TunnelStart } from "../record.ts";
import type { StagePlan } from "../stage.ts";
import { describeRoute } from "../trace-account.ts";
import type { RouteAnswer } from "../trace-record.ts";
import { routeLine, tunnelLine } from "./wireguard-account.ts";
import type { RouteEntry } from "./wireguard-record.ts";

/** Which way the pings to one address went, by captures on the client's two interfaces and at the destination. */
export interface Path {
  readonly destination: string;
  readonly pings: number;
  /** Requests that the client sent into the tunnel's interface, and openly by eth0. */
  readonly inTunnel: number;
  readonly outside: number;
  /** Whom the destination saw. */
  readonly seenFrom: string;
  readonly replies: number;
}

/** In the order of the steps. */
export type PrefixSteps = {
  server: TunnelStart;
  client: TunnelStart;
  table: {
    readonly routes: readonly RouteEntry[];
    /** The entries that match 8.8.8.8, whichever the kernel takes. */
    readonly matching: readonly string[];
  };
  choice: { readonly answers: readonly RouteAnswer[] };
  paths: { readonly paths: readonly Path[] };
  without: {
    readonly removed: readonly string[];
    readonly answers: readonly RouteAnswer[];
    readonly paths: readonly Path[];
  };
  again: { readonly answers: readonly RouteAnswer[] };
};

export const prefixAccounts: StagePlan<PrefixSteps>["accounts"] = {
  server: (start) => ({ summary: tunnelLine(start) }),
  client: (start) => ({ summary: tunnelLine(start) }),
  table: ({ routes, matching }) => ({
    summary: `the client's routing table: ${matching.length} entries match 8.8.8.8: ${matching.join(", ")}`,
    evidence: routes.map(routeLine),
  }),
  choice: ({ answers }) => ({
    summary: "the kernel takes the longest prefix that matches",
    evidence: answers.map(describeRoute),
  }),
  paths: ({ paths }) => ({
    summary: "and so the pings went, by captures on both interfaces",
    evidence: pathLines(paths),
  }),
  without: ({ removed, answers, paths }) => ({
    summary: `without ${removed.join(" and ")} the next longest takes over`,
    evidence: [...answers.map(describeRoute), ...pathLines(paths)],
  }),
  again: ({ answers }) => ({ summary: "with it, everything is as before", evidence: answers.map(describeRoute) }),
};

function pathLines(paths: readonly Path[]): string[] {
  return [
    `${"echo requests to".padEnd(21)} on the client's wg0   on its eth0   seen there from   replies`,
    ...paths.map(
      ({ destination, inTunnel, outside, seenFrom, replies }) =>
        `${destination.padEnd(21)} ${String(inTunnel).padStart(19)} ${String(outside).padStart(13)}   ${seenFrom.padEnd(15)} ${String(replies).padStart(9)}`,
    ),
  ];
}
