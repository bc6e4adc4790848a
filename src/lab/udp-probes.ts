/** Probes with datagrams from the client to the dns host, which sends them back: how long they take, and how long they may be. */
import { round, verify } from "./journal.ts";
import { ownProgram } from "./program.ts";
import { address } from "./topology.ts";
import type { Workbench } from "./workbench.ts";

const echoPort = 7;
const patienceMs = 20_000;
const intervalMs = 25;
/** A tunnel that is full may hold a probe for so long. */
const lateMs = 1000;

/** Round trips. Times are in milliseconds. */
export interface Latency {
  readonly sent: number;
  readonly lost: number;
  readonly median: number;
  readonly ninetieth: number;
  readonly worst: number;
}

/** What became of a packet of this length. `mtu` is that of the path as the client's kernel knows it. */
export interface SizedOutcome {
  readonly length: number;
  readonly outcome: "answered" | "lost" | "refused";
  readonly mtu: number;
}

export async function startEcho(bench: Workbench): Promise<void> {
  const echo = bench.host("dns").start(ownProgram("programs/udp-echo", address.dns[0], String(echoPort)));
  await echo.event("listening", patienceMs);
}

/** Sends `count` probes at a steady pace, 40 a second. */
export async function measureLatency(bench: Workbench, count: number): Promise<Latency> {
  const parameters = [count, intervalMs, lateMs].map(String);
  const command = ownProgram("programs/udp-prober", address.dns[0], String(echoPort), ...parameters);
  const { milliseconds } = await bench.host("client").start(command).event("probed", patienceMs);
  return summarise(milliseconds as readonly (number | null)[]);
}

/** Sends packets of these lengths, one after another; `whole` ones must not be fragmented. */
export async function sendSized(
  bench: Workbench,
  kind: "whole" | "divisible",
  lengths: readonly number[],
): Promise<readonly SizedOutcome[]> {
  const parameters = [address.dns[0], String(echoPort), kind, ...lengths.map(String)];
  const program = bench.host("client").start(ownProgram("programs/sized-datagrams", ...parameters));
  const { outcomes } = await program.event("sized", patienceMs);
  return outcomes as readonly SizedOutcome[];
}

/** `null` stands for a probe that never came back. */
export function summarise(milliseconds: readonly (number | null)[]): Latency {
  const times = milliseconds.filter((time) => time !== null).sort((a, b) => a - b);
  verify(times.length > 0, "probes to come back", "none did");
  const at = (share: number) => round(times[Math.min(times.length - 1, Math.floor(times.length * share))]);
  const sent = milliseconds.length;
  return { sent, lost: sent - times.length, median: at(0.5), ninetieth: at(0.9), worst: at(1) };
}
