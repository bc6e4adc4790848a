/**
 * What a run of the lab found out, as data: one record per step, from which both the report and `--json` are made. The
 * fields are documented in docs/lab.md and stable. What the steps of a stage add to it is declared beside that stage.
 */
import type { Topology } from "./topology.ts";

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

export interface TunnelEnd {
  readonly host: string;
  /** Of what the tunnel carried; `null` from one that does not count. */
  readonly sentBytes: number | null;
  readonly receivedBytes: number | null;
  /** Packets and messages dropped, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/** What each step of a stage adds to its record, by the step's name. */
export type StepDetails = Readonly<Record<string, unknown>>;

/** The steps that every stage has: the first and the last. */
export type FrameSteps = {
  topology: { readonly hosts: number; readonly links: number };
  teardown: { readonly tunnels: readonly TunnelEnd[] };
};

export interface VerifiedStep {
  readonly name: string;
  readonly ok: true;
  readonly milliseconds: number;
  readonly detail: unknown;
}

export interface FailedStep {
  readonly name: string;
  readonly ok: false;
  readonly milliseconds: number;
  readonly expected: string;
  readonly seen: string;
}

export type StepRecord = VerifiedStep | FailedStep;

export interface LabRecord {
  readonly stage: string;
  /** Whether every step was verified. */
  readonly ok: boolean;
  readonly milliseconds: number;
  /** `root`, or `user` where the lab is root in a user namespace alone. */
  readonly privilege: "root" | "user";
  readonly broken: string | null;
  readonly topology: Topology;
  readonly steps: readonly StepRecord[];
}
