/** The lab's own peer (`programs/noise-peer.ts`) on the client host, in place of a `warren up`, and what it says. */
import { parseConfigFile } from "../tunnel/config-file.ts";
import { verify } from "./journal.ts";
import { lastLine, ownProgram, type ProgramEvent } from "./program.ts";
import { address, tunnelPort } from "./topology.ts";
import type { Workbench } from "./workbench.ts";

const patienceMs = 20_000;

export type Act =
  | { readonly kind: "handshake" }
  /** A ping of the server's tunnel address under one of its sessions, the first being 0. */
  | { readonly kind: "ping"; readonly session: number };

/** What the program reads. Keys are in base64. */
export interface NoisePeerInput {
  readonly privateKey: string;
  readonly serverKey: string;
  readonly presharedKey: string;
  readonly endpoint: string;
  readonly source: string;
  readonly destination: string;
  readonly script: readonly Act[];
}

export interface TranscriptEntry {
  /** How much was mixed in. */
  readonly bytes: number;
  /** The hash of all that was said so far, in hexadecimal. */
  readonly hash: string;
  /** How often the chaining key had changed by then. */
  readonly chainings: number;
}

export type ActResult =
  | {
      readonly event: "handshake";
      readonly answered: boolean;
      readonly milliseconds: number;
      readonly localIndex: number;
      readonly remoteIndex: number | null;
      readonly transcript: readonly TranscriptEntry[];
    }
  | {
      readonly event: "ping";
      readonly answered: boolean;
      readonly counter: number;
      readonly remoteIndex: number;
      readonly bytes: number;
    };

/** Runs a script under the identity of a client's wg-quick file. */
export async function runNoisePeer(bench: Workbench, config: string, script: readonly Act[]): Promise<ActResult[]> {
  const { interface: own, peers } = parseConfigFile(config);
  const [server] = peers;
  const input: NoisePeerInput = {
    privateKey: own.privateKey?.reveal() ?? "",
    serverKey: server.publicKey.toString(),
    presharedKey: server.presharedKey?.reveal() ?? "",
    endpoint: `${address.server[0]}:${tunnelPort}`,
    source: address.tunnelClient[0],
    destination: address.tunnelServer[0],
    script,
  };
  const program = bench.host("client").start(ownProgram("programs/noise-peer"), JSON.stringify(input));
  const end = await program.end(patienceMs);
  verify(end.status === 0, "warren to answer the lab's own peer", lastLine(end));
  const results = end.output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ProgramEvent & ActResult);
  verify(results.length === script.length, `${script.length} results`, `there are ${results.length}`);
  return results;
}
