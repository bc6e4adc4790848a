/** The system's own `ping`, unmodified. */
import type { Machine } from "./machine.ts";

export interface PingOptions {
  readonly count?: number;
  readonly intervalSeconds?: number;
  readonly source?: string;
  /** How long to wait for the answers to the last ones; 2 seconds unless given. */
  readonly patienceSeconds?: number;
}

export interface PingReport {
  readonly sent: number;
  readonly received: number;
  readonly duplicates: number;
  readonly output: string;
}

/** Pings an address and reports what came back; also where nothing did. */
export async function ping(from: Machine, address: string, options: PingOptions = {}): Promise<PingReport> {
  const { count = 1, intervalSeconds, source, patienceSeconds = 2 } = options;
  const program = from.start([
    "ping",
    ...["-n", "-c", String(count), "-W", String(patienceSeconds)],
    ...(intervalSeconds === undefined ? [] : ["-i", String(intervalSeconds)]),
    ...(source === undefined ? [] : ["-I", source]),
    address,
  ]);
  const { stdout, stderr } = await program.outcome;
  const totals = /^([0-9]+) packets transmitted, ([0-9]+) received(?:, \+([0-9]+) duplicates)?/m.exec(stdout);
  if (totals === null) throw new Error(`ping ${address} said neither what it sent nor received: ${stdout}${stderr}`);
  const [, sent, received, duplicates = 0] = totals;
  return {
    sent: Number(sent),
    received: Number(received),
    duplicates: Number(duplicates),
    output: `${stdout}${stderr}`,
  };
}

/** One ping with an IP packet of each of these lengths, Don't Fragment set. Throws, with what `ping` said, where one has no answer. */
export async function pingEach(from: Machine, address: string, packetLengths: readonly number[]): Promise<void> {
  const headers = address.includes(":") ? 48 : 28;
  const script = 'for size; do ping -n -c 1 -W 2 -M do -s "$size" "$0" || exit 1; done'; // a spawn for each would be slow
  const sizes = packetLengths.map((length) => String(length - headers));
  await from.run("sh", "-c", script, address, ...sizes);
}
