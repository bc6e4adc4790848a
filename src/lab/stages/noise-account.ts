/** What the steps of the stage `noise` find out, and how they read. Pure. */
import type { MessageField } from "../message-fields.ts";
import type { TunnelStart } from "../record.ts";
import type { StagePlan } from "../stage.ts";

/** A message as the home router saw it. */
export interface SeenMessage {
  readonly source: string;
  readonly destination: string;
  readonly bytes: number;
  readonly fields: readonly MessageField[];
}

export interface TranscriptRow {
  readonly what: string;
  readonly bytes: number;
  /** In hexadecimal. */
  readonly hash: string;
  /** The secrets that went into the chaining key since the row before. */
  readonly secrets: string;
}

export interface FieldChange {
  readonly name: string;
  readonly first: string;
  readonly second: string;
  readonly same: boolean;
}

/** In the order of the steps. */
export type NoiseSteps = {
  server: TunnelStart;
  handshake: { readonly milliseconds: number; readonly localIndex: number; readonly remoteIndex: number };
  initiation: SeenMessage;
  response: SeenMessage;
  transcript: { readonly rows: readonly TranscriptRow[] };
  data: SeenMessage;
  opened: { readonly clientKey: string; readonly timestamp: string; readonly agoMs: number };
  eavesdropper: {
    readonly messages: number;
    /** What was looked for, and in how many packets it is. */
    readonly secrets: readonly { readonly what: string; readonly packets: number }[];
    /** Whether mac1 of the initiation checks with the server's public key, and with another. */
    readonly mac1WithServerKey: boolean;
    readonly mac1WithOtherKey: boolean;
  };
  again: { readonly fields: readonly FieldChange[] };
};

const shownBytes = 12;

export const noiseAccounts: StagePlan<NoiseSteps>["accounts"] = {
  server: ({ addresses, port }) => ({ summary: `warren up on the server: ${addresses.join(", ")}, UDP port ${port}` }),
  handshake: ({ milliseconds, localIndex, remoteIndex }) => ({
    summary: `the lab's own peer and warren agree in ${milliseconds.toFixed(1)} ms`,
    evidence: [`the client is ${hex32(localIndex)} in this session, the server ${hex32(remoteIndex)}`],
  }),
  initiation: message,
  response: message,
  data: message,
  transcript: ({ rows }) => ({
    summary: "what both sides hash, in order, and the secrets they mix into the chaining key",
    evidence: [
      `${"said".padEnd(36)}${"bytes".padStart(5)}  ${"hash of all so far".padEnd(20)}  chaining key, which is not shown`,
      ...rows.map(
        ({ what, bytes, hash, secrets }, i) =>
          `${what.padEnd(36)}${String(bytes).padStart(5)}  ${hash.slice(0, 16)} …    ${secrets !== "" ? `mixed with ${secrets}` : i === 0 ? "the hash of the Noise protocol's name" : "as before"}`,
      ),
    ],
  }),
  opened: ({ clientKey, timestamp, agoMs }) => ({
    summary: "with its private key the server reads in the initiation",
    evidence: [`static: ${clientKey}, which it knows for its peer`, `timestamp: ${timestamp}, ${agoMs} ms before now`],
  }),
  eavesdropper: ({ messages, secrets, mac1WithServerKey, mac1WithOtherKey }) => ({
    summary: `the home router saw ${messages} messages: types, lengths, times, addresses, indices, counters`,
    evidence: [
      ...secrets.map(({ what, packets }) => `${what}: in ${packets} packets`),
      `mac1 of the initiation, checked with the server's public key: ${verdict(mac1WithServerKey)}`,
      `mac1 of the initiation, checked with another public key: ${verdict(mac1WithOtherKey)}`,
    ],
  }),
  again: ({ fields }) => ({
    summary: "the same two peers again: their initiations field by field",
    evidence: fields.map(({ name, first, second, same }) =>
      `${name.padEnd(10)} ${same ? "same     " : "different"} ${shorten(first).padEnd(28)} ${shorten(second)}`.trimEnd(),
    ),
  }),
};

function message({ source, destination, bytes, fields }: SeenMessage): { summary: string; evidence: string[] } {
  return {
    summary: `${source} to ${destination}, ${bytes} bytes`,
    evidence: fields.flatMap(({ name, offset, length, bytes: text, meaning }) => [
      `${String(offset).padStart(3)} +${String(length).padEnd(3)} ${name.padEnd(10)} ${shorten(text).padEnd(28)} ${meaning}`,
    ]),
  };
}

function shorten(text: string): string {
  return text.length > 2 * shownBytes ? `${text.slice(0, 2 * shownBytes)} …` : text;
}

function verdict(holds: boolean): string {
  return holds ? "right" : "wrong";
}

function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
