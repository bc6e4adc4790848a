/**
 * What a run of the lab found out, as data: one record per step, from which both the report and `--json` are made. The
 * fields are documented in docs/lab.md and stable.
 */
import type { Topology } from "./topology.ts";

/** What `--break` can damage. The lab must then fail, in the step named after it (`key`: in `handshake`). */
export const breakages = ["nat", "route", "key", "dns", "forward"] as const;
export type Breakage = (typeof breakages)[number];

export interface PingReply {
  readonly from: string;
  readonly sequence: number;
  readonly bytes: number;
  readonly milliseconds: number;
}

export interface PingRun {
  /** Which program: `ping`'s own words for its version, or `built-in ping`. */
  readonly program: string;
  readonly destination: string;
  readonly sent: number;
  readonly replies: readonly PingReply[];
}

export interface TunnelStart {
  readonly addresses: readonly string[];
  readonly port: number;
  readonly mtu: number;
  readonly aead: string;
  /** From the start of the process until packets could pass. */
  readonly readyMs: number;
}

export interface RouteEntry {
  readonly destination: string;
  readonly via: string | null;
  readonly device: string;
  /** The address of the dns host for which the kernel chose this entry. */
  readonly chosenFor: string | null;
}

export interface ObservedMessage {
  readonly kind: string;
  readonly type: number;
  readonly bytes: number;
  readonly receiver: number | null;
  readonly counter: number | null;
  /** The first bytes of the sealed packet, in hexadecimal. */
  readonly ciphertext: string | null;
}

export interface Secret {
  readonly what: string;
  /** Packets that contain it, of those the eavesdropper captured; 0, or the step failed. */
  readonly seenByEavesdropper: number;
  /** Packets that contain it, of those captured on the client's own end of the tunnel; at least 1. */
  readonly seenInTunnel: number;
}

export interface TunnelEnd {
  readonly host: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Packets and messages dropped, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/** What each step adds to its record, in the order of the steps. */
export interface StepDetails {
  topology: { readonly hosts: number; readonly links: number };
  direct: { readonly ping: PingRun; readonly seenFrom: string };
  server: TunnelStart;
  client: TunnelStart;
  route: { readonly routes: readonly RouteEntry[] };
  handshake: { readonly initiationBytes: number; readonly responseBytes: number; readonly messages: number };
  forward: { readonly requests: readonly { readonly destination: string; readonly count: number }[] };
  nat: { readonly seen: readonly { readonly destination: string; readonly source: string }[] };
  ping: { readonly runs: readonly PingRun[] };
  dns: { readonly answers: readonly DnsAnswer[]; readonly seenFrom: readonly string[] };
  eavesdropper: {
    readonly packets: number;
    readonly bytes: number;
    readonly message: ObservedMessage;
    readonly secrets: readonly Secret[];
  };
  throughput: { readonly bytes: number; readonly seconds: number; readonly gigabitsPerSecond: number };
  teardown: { readonly tunnels: readonly TunnelEnd[] };
}

export interface DnsAnswer {
  readonly server: string;
  readonly name: string;
  readonly type: string;
  readonly addresses: readonly string[];
  readonly milliseconds: number;
}

export type StepName = keyof StepDetails;

export type VerifiedStep<N extends StepName = StepName> = {
  [K in N]: {
    readonly name: K;
    readonly ok: true;
    readonly milliseconds: number;
    readonly detail: StepDetails[K];
  };
}[N];

export interface FailedStep {
  readonly name: StepName;
  readonly ok: false;
  readonly milliseconds: number;
  readonly expected: string;
  readonly seen: string;
}

export type StepRecord = VerifiedStep | FailedStep;

export interface LabRecord {
  /** Whether every step was verified. */
  readonly ok: boolean;
  readonly milliseconds: number;
  /** `root`, or `user` where the lab is root in a user namespace alone. */
  readonly privilege: "root" | "user";
  readonly broken: Breakage | null;
  readonly topology: Topology;
  readonly steps: readonly StepRecord[];
}
