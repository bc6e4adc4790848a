/** What the steps of the stage `wireguard` find out, as data. */
import type { PingRun, TunnelStart } from "../record.ts";

/** What `--break` can damage. The lab must then fail, in the step named after it (`key`: in `handshake`). */
export const wireguardBreakages = ["nat", "route", "key", "dns", "forward"] as const;
export type WireguardBreakage = (typeof wireguardBreakages)[number];

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

/** What each step adds to its record, in the order of the steps. */
export type WireguardSteps = {
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
};

export interface DnsAnswer {
  readonly server: string;
  readonly name: string;
  readonly type: string;
  readonly addresses: readonly string[];
  readonly milliseconds: number;
}
