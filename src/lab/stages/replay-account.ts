/** What the steps of the stage `replay` find out, and how they read. Pure. */
import type { ActResult } from "../noise-peer-run.ts";
import type { StagePlan } from "../stage.ts";

/** A message that the eavesdropper sent again. */
export interface Repetition {
  readonly what: string;
  readonly type: number;
  readonly bytes: number;
  readonly counter: number | null;
  /** Under which the server must have counted it. */
  readonly reason: string;
}

export interface RekeyAct {
  readonly kind: ActResult["event"];
  /** Of the server in the session that was made or used. */
  readonly remoteIndex: number | null;
  readonly counter: number | null;
  readonly session: number;
  readonly answered: boolean;
}

/** In the order of the steps. */
export type ReplaySteps = {
  session: { readonly messages: number; readonly pings: number };
  repeat: {
    readonly from: string;
    readonly repetitions: readonly Repetition[];
  };
  answered: {
    readonly destination: string;
    readonly milliseconds: number;
    /** How many have come out of the server's end of the tunnel in all. */
    readonly pings: number;
  };
  clock: {
    /** When handshakes began, in seconds of the virtual clock. */
    readonly handshakes: readonly number[];
    readonly seconds: number;
    readonly packets: number;
    readonly milliseconds: number;
    /** What became of two messages that were held up on the way for so many seconds. */
    readonly held: readonly { readonly seconds: number; readonly reason: string | null }[];
  };
  rekey: { readonly acts: readonly RekeyAct[] };
  drops: { readonly counted: readonly { readonly reason: string; readonly count: number }[] };
};

export const replayAccounts: StagePlan<ReplaySteps>["accounts"] = {
  session: ({ messages, pings }) => ({
    summary: `the tunnel is up and carried ${pings} ping; the home router has ${messages} messages of it`,
  }),
  repeat: ({ from, repetitions }) => ({
    summary: `${from} sends to the server what it has captured`,
    evidence: repetitions.map(
      ({ what, type, bytes, counter }) =>
        `${what.padEnd(34)} type ${type}, ${String(bytes).padStart(3)} bytes${counter === null ? "" : `, counter ${counter}`}`,
    ),
  }),
  answered: ({ destination, milliseconds, pings }) => ({
    summary: `the client's own next ping of ${destination} is answered, in ${milliseconds} ms`,
    evidence: [`pings that have come out of the server's wg0: ${pings}, the client's first and this one`],
  }),
  clock: ({ handshakes, seconds, packets, milliseconds, held }) => ({
    summary: `on a virtual clock, ${seconds} s in ${milliseconds} ms: a packet a second, ${packets} arrived`,
    evidence: [
      `handshakes began after ${handshakes.join(", ")} s`,
      ...held.map(
        ({ seconds: late, reason }) => `a message held up for ${late} s: ${reason === null ? "delivered" : reason}`,
      ),
    ],
  }),
  rekey: ({ acts }) => ({
    summary: "on the real wire: the lab's own peer with the client's keys, and a warren that takes its old sessions",
    evidence: acts.map(({ kind, remoteIndex, counter, session, answered }) =>
      kind === "handshake"
        ? `handshake: session ${session}, in which the server is ${hex32(remoteIndex)}`
        : `ping in session ${session}, counter ${counter}: ${answered ? "answered" : "no answer"}`,
    ),
  }),
  drops: ({ counted }) => ({
    summary: "what the server's warren counted when it ended",
    evidence: counted.map(({ reason, count }) => `${reason.padEnd(22)} ${count}`),
  }),
};

function hex32(value: number | null): string {
  return value === null ? "unknown" : `0x${value.toString(16).padStart(8, "0")}`;
}
