/** How much of one TCP connection through the tunnel arrives in a given time, however bad the tunnel is. */
import { round, verify } from "./journal.ts";
import { ownProgram } from "./program.ts";
import { address, sinkPort } from "./topology.ts";
import type { Workbench } from "./workbench.ts";

const patienceMs = 4000;

export interface MeteredStream {
  readonly bytes: number;
  readonly seconds: number;
  readonly megabitsPerSecond: number;
}

/** Sends from the client to the dns host for as long, and counts what has come out there. */
export async function meterStream(bench: Workbench, milliseconds: number): Promise<MeteredStream> {
  const [destination] = address.dns;
  const ends = [destination, String(sinkPort)];
  const meter = bench.host("dns").start(ownProgram("programs/meter", ...ends, String(milliseconds)));
  await meter.event("listening", patienceMs);
  const source = bench.host("client").start(ownProgram("programs/source", ...ends, String(milliseconds + patienceMs)));
  const received = await meter.event("received", milliseconds + patienceMs);
  source.signal("SIGKILL");
  await source.ended;
  const bytes = Number(received.bytes);
  const elapsed = Number(received.milliseconds);
  verify(bytes > 0, "some of the stream to arrive", "nothing did");
  return { bytes, seconds: Math.round(elapsed) / 1000, megabitsPerSecond: round((bytes * 8) / elapsed / 1000) };
}
