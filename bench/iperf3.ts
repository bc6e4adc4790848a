/** TCP by iperf3, as whoever received it counted. */
import { VpnError } from "../src/base/errors.ts";
import { Program } from "./program.ts";
import type { Family, TwoHosts } from "./two-hosts.ts";

export interface TcpLoad {
  readonly inside: Family;
  readonly streams: number;
  /** Whether host b sends, too, at the same time. */
  readonly bothWays: boolean;
  /** Whole ones: iperf3 takes half a second for none, which is for ever. */
  readonly seconds: number;
}

export interface TcpTransfer {
  /** Of both directions together. */
  readonly bitsPerSecond: number;
  readonly bytes: number;
}

interface Sum {
  readonly bits_per_second: number;
  readonly bytes: number;
}

interface Report {
  readonly end?: { readonly sum_received?: Sum; readonly sum_received_bidir_reverse?: Sum };
  readonly error?: string;
}

const port = 5201;

/** Sends from a to b, or both ways. Throws `not-available` with what iperf3 says if it fails. */
export async function transferTcp({ a, b }: TwoHosts, load: TcpLoad, signal: AbortSignal): Promise<TcpTransfer> {
  const { inside, streams, bothWays, seconds } = load;
  await using server = new Program(b.namespace, ["iperf3", `-${inside}`, "-s", "-1"], signal);
  await server.until(() => server.listensOn(port));
  const to = (inside === 4 ? b.v4 : b.v6).address.toString();
  const command = ["iperf3", `-${inside}`, "-J", "-c", to, "-t", String(seconds), "-P", String(streams)];
  await using client = new Program(a.namespace, [...command, ...(bothWays ? ["--bidir"] : [])], signal);
  const { end, error } = JSON.parse(await client.output()) as Report;
  const there = end?.sum_received;
  const back = end?.sum_received_bidir_reverse;
  if (there === undefined || (bothWays && back === undefined)) {
    throw new VpnError("not-available", `iperf3 measured nothing${error === undefined ? "" : `: ${error}`}`);
  }
  return {
    bitsPerSecond: there.bits_per_second + (back?.bits_per_second ?? 0),
    bytes: there.bytes + (back?.bytes ?? 0),
  };
}
