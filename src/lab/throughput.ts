/** The step `throughput`: one TCP connection through the tunnel, for as long as it takes to get an idea. */
import type { Host } from "./host.ts";
import { round, verify } from "./journal.ts";
import { ownProgram, type Program } from "./program.ts";
import type { WireguardSteps } from "./stages/wireguard-record.ts";
import { address, sinkPort } from "./topology.ts";

const sendMs = 1500;
const patienceMs = 15_000; // for the programs to start, too, on a machine with much else to do

export function startSink(dns: Host): Program {
  return dns.start(ownProgram("programs/sink", address.dns[0], String(sinkPort)));
}

export async function measureThroughput(client: Host, sink: Program): Promise<WireguardSteps["throughput"]> {
  await sink.event("listening", patienceMs);
  const source = client.start(ownProgram("programs/source", address.dns[0], String(sinkPort), String(sendMs)));
  const [sent, received] = await Promise.all([
    source.event("sent", sendMs + patienceMs),
    sink.event("received", sendMs + patienceMs),
  ]);
  const bytes = Number(received.bytes);
  const milliseconds = Number(received.milliseconds);
  verify(bytes > 0 && bytes === sent.bytes, `all ${sent.bytes} bytes sent over TCP`, `${bytes} arrived`);
  return {
    bytes,
    seconds: round(milliseconds) / 1000,
    gigabitsPerSecond: Math.round((bytes * 8) / milliseconds / 10_000) / 100,
  };
}
