/** What the steps of the stage `xor` find out, and how they read. Pure. */
import type { StagePlan } from "../stage.ts";

export interface CapturedStream {
  readonly source: string;
  readonly destination: string;
  readonly segments: number;
  readonly bytes: number;
}

export interface KeyTrial {
  readonly key: number;
  readonly packets: number;
  /** Bytes of the stream that lie in packets with a right header checksum. */
  readonly explained: number;
}

export interface InnerPacket {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly bytes: number;
}

/** In the order of the steps. */
export type XorSteps = {
  session: { readonly page: string; readonly status: number; readonly bytes: number };
  capture: {
    readonly packets: number;
    readonly streams: readonly CapturedStream[];
    /** The first bytes of the client's stream, in hexadecimal. */
    readonly first: string;
    readonly containingPassword: number;
  };
  frequencies: {
    readonly of: number;
    readonly commonest: readonly { readonly byte: number; readonly count: number }[];
  };
  key: {
    readonly byStatistics: number;
    readonly byFirstByte: number;
    readonly of: number;
    /** The best of all 256. */
    readonly trials: readonly KeyTrial[];
    /** Packets under the key whose header checksums are wrong. */
    readonly unsound: number;
  };
  packets: { readonly count: number; readonly first: readonly InnerPacket[] };
  plaintext: {
    readonly request: readonly string[];
    readonly response: readonly string[];
    readonly credentials: string;
  };
  replay: { readonly bytes: number; readonly from: string; readonly before: number; readonly after: number };
};

const protocolNames: Readonly<Record<number, string>> = { 1: "ICMP", 6: "TCP", 17: "UDP" };

export const xorAccounts: StagePlan<XorSteps>["accounts"] = {
  session: ({ page, status, bytes }) => ({
    summary: `a program on the client reads ${page} through the tunnel, with a password: status ${status}, ${bytes} bytes`,
  }),
  capture: ({ packets, streams, first, containingPassword }) => ({
    summary: `the home router saw ${packets} packets; the password is in ${containingPassword} of them`,
    evidence: [
      ...streams.map(
        ({ source, destination, segments, bytes }) =>
          `${source} to ${destination}: ${bytes} bytes in ${segments} segments`,
      ),
      `the client's begin: ${spaced(first)} …`,
    ],
  }),
  frequencies: ({ of, commonest }) => ({
    summary: `the commonest of ${of} bytes`,
    evidence: commonest.map(({ byte, count }) => `${hex(byte)}  ${bar(count / of)} ${percent(count / of)}`),
  }),
  key: ({ byStatistics, byFirstByte, of, trials, unsound }) => ({
    summary: `${hex(byStatistics)}, by statistics and by the first byte (${hex(byFirstByte)}); of 256 keys tried, the best`,
    evidence: [
      ...trials.map(
        ({ key, packets, explained }) =>
          `${hex(key)} makes ${packets} packets with right header checksums, ${explained} of ${of} bytes`,
      ),
      ...(unsound === 0 ? [] : [`and ${unsound} with a wrong one, by which two warrens greet each other`]),
    ],
  }),
  packets: ({ count, first }) => ({
    summary: `${count} packets were inside, the first of them`,
    evidence: first.map(
      ({ source, destination, protocol, bytes }) =>
        `${source} to ${destination}, ${protocolNames[protocol] ?? `protocol ${protocol}`}, ${bytes} bytes`,
    ),
  }),
  plaintext: ({ request, response, credentials }) => ({
    summary: `the TCP connection inside, put together; the name and password are ${credentials}`,
    evidence: [...request.map((line) => `> ${line}`.trimEnd()), ...response.map((line) => `< ${line}`.trimEnd())],
  }),
  replay: ({ bytes, from, before, after }) => ({
    summary: `${from} sent ${bytes} captured bytes to the server again: pings at the dns host went from ${before} to ${after}`,
  }),
};

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}

function spaced(text: string): string {
  return text.match(/../g)?.join(" ") ?? "";
}

function bar(share: number): string {
  return "█".repeat(Math.max(1, Math.round(share * 40))).padEnd(20);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
