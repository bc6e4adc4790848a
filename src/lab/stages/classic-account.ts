/** What the steps of the stage `classic` find out, and how they read. Pure. */
import { fieldLines, groups, hexLines, type PacketRecord } from "../packet-account.ts";
import type { PingRun } from "../record.ts";
import type { StagePlan } from "../stage.ts";
import { replyLines, routeLine } from "./wireguard-account.ts";
import type { RouteEntry } from "./wireguard-record.ts";

/** In the order of the steps. */
export type ClassicSteps = {
  server: { readonly said: readonly string[]; readonly forwards: boolean };
  client: { readonly said: readonly string[] };
  route: { readonly routes: readonly RouteEntry[] };
  ping: { readonly run: PingRun };
  /** The seed's lines, as each end wrote them while the pings passed. */
  lines: { readonly client: readonly string[]; readonly server: readonly string[] };
  nat: { readonly inTunnel: string; readonly atDestination: string };
  eavesdropper: {
    readonly packets: number;
    /** Of the client's TCP stream, captured on the home router. */
    readonly streamBytes: number;
    /** Its first bytes, in hexadecimal. */
    readonly first: string;
    /** Captured packets that contain the ping's payload as it was sent. */
    readonly showingPayload: number;
  };
  key: { readonly captured: number; readonly known: number; readonly key: number };
  /** The first packet that went into the tunnel, found in the stream. */
  plaintext: PacketRecord & {
    /** Of the whole stream, and those of them that the client's end of the tunnel had carried. */
    readonly packets: number;
    readonly fromDevice: number;
    /** The rest, in words: what the two ends say to each other. */
    readonly others: readonly string[];
  };
};

export const classicAccounts: StagePlan<ClassicSteps>["accounts"] = {
  server: ({ said, forwards }) => ({
    summary: `it waits for clients${forwards ? ", forwards what they send, and translates addresses" : ""}; it says`,
    evidence: said,
  }),
  client: ({ said }) => ({ summary: "it is connected; it says", evidence: said }),
  route: ({ routes }) => ({
    summary: "the client's routing table, and what its kernel chooses",
    evidence: routes.map(routeLine),
  }),
  ping: ({ run }) => ({ summary: `an unmodified program in the client: ${run.program}`, evidence: replyLines(run) }),
  lines: ({ client, server }) => ({
    summary: "meanwhile the two ends said",
    evidence: [...client.map((line) => `client  ${line}`), ...server.map((line) => `server  ${line}`)],
  }),
  nat: ({ inTunnel, atDestination }) => ({
    summary: `out of the tunnel the pings come from ${inTunnel}, at 8.8.8.8 they come from ${atDestination}`,
  }),
  eavesdropper: ({ packets, streamBytes, first, showingPayload }) => ({
    summary: `the home router captured ${packets} packets, in them ${streamBytes} bytes from the client, which begin`,
    evidence: [...hexLines(first), `packets that contain the ping's payload as it was: ${showingPayload}`],
  }),
  key: ({ captured, known, key }) => ({
    summary: `an IPv4 packet begins with ${hex(known)}; ${hex(captured)} XOR ${hex(known)} = ${hex(key)}: that is the key`,
  }),
  plaintext: ({ packets, fromDevice, others, bytes, fields }) => ({
    summary: `with it the stream is ${packets} packets; ${fromDevice} of them had gone into the client's tun0, such as`,
    evidence: [
      ...hexLines(bytes),
      ...fieldLines(fields),
      `the payload: ${groups(fields.at(-1)?.bytes ?? "")}`,
      ...(others.length === 0 ? [] : [`not from tun0, but between the two ends themselves: ${others.join(", ")}`]),
    ],
  }),
};

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}
