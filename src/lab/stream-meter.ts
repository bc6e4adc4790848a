/** How much of one TCP connection through the tunnel arrives in a given time, however bad the tunnel is. */
import { round, verify } from "./journal.ts";
import { ownProgram, type Program, type ProgramEvent } from "./program.ts";
import { address, sinkPort } from "./topology.ts";
import type { Workbench } from "./workbench.ts";

const patienceMs = 15_000;
const longestMs = 30_000;

export interface MeteredStream {
  readonly bytes: number;
  readonly seconds: number;
  readonly megabitsPerSecond: number;
}

/** Sends from the client to the dns host for as long, and counts what has come out there. */
export async function meterStream(bench: Workbench, milliseconds: number): Promise<MeteredStream> {
  const { meter, source } = await startStream(bench, [String(milliseconds)]);
  const received = await meter.event("received", milliseconds + 2 * patienceMs);
  return await conclude(source, received);
}

/** The same for as long as something else takes, which begins when the stream has begun to come out. */
export async function meterStreamDuring<T>(
  bench: Workbench,
  action: () => Promise<T>,
): Promise<{ stream: MeteredStream; result: T }> {
  const { meter, source } = await startStream(bench, []);
  await meter.event("first", patienceMs);
  const result = await action();
  meter.signal("SIGINT");
  const received = await meter.event("received", patienceMs);
  return { stream: await conclude(source, received), result };
}

async function startStream(bench: Workbench, limit: readonly string[]): Promise<{ meter: Program; source: Program }> {
  const ends = [address.dns[0], String(sinkPort)];
  const meter = bench.host("dns").start(ownProgram("programs/meter", ...ends, ...limit));
  await meter.event("listening", patienceMs);
  const source = bench.host("client").start(ownProgram("programs/source", ...ends, String(longestMs)));
  return { meter, source };
}

async function conclude(source: Program, received: ProgramEvent): Promise<MeteredStream> {
  source.signal("SIGKILL");
  await source.ended;
  const bytes = Number(received.bytes);
  const elapsed = Number(received.milliseconds);
  verify(bytes > 0, "some of the stream to arrive", "nothing did");
  return { bytes, seconds: Math.round(elapsed) / 1000, megabitsPerSecond: round((bytes * 8) / elapsed / 1000) };
}
