/** The system's own `ping`, unmodified. */
import { setTimeout } from "node:timers/promises";
import type { AddressFamily } from "../../src/base/address.ts";
import type { Machine } from "./machine.ts";

const usualPatienceSeconds = 10;

export interface PingOptions {
  readonly count?: number;
  readonly intervalSeconds?: number;
  readonly source?: string;
  /** How long to wait for answers where none comes; for who expects none. */
  readonly patienceSeconds?: number;
}

export interface PingReport {
  readonly sent: number;
  readonly received: number;
  readonly duplicates: number;
  readonly output: string;
}

/**
 * Pings an address and reports what came back; also where nothing did. For the answers to the last of several `ping`
 * itself waits no longer than for one interval; those that come then are counted all the same.
 */
export async function ping(from: Machine, address: string, options: PingOptions = {}): Promise<PingReport> {
  const { count = 1, intervalSeconds, source, patienceSeconds = usualPatienceSeconds } = options;
  const family = address.includes(":") ? 6 : 4;
  const before = unansweredPings(from, family);
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
  const [sent, received, duplicates] = totals.slice(1).map((total = "0") => Number(total));
  const isWhole = received > 0 && received < sent && (await comeLate(from, family, before));
  return {
    sent,
    received: isWhole ? sent : received,
    duplicates,
    output: `${stdout}${stderr}`,
  };
}

/** How many of all pings from a host have no answer, by the kernel's count, which goes on when `ping` has left. */
export function unansweredPings(from: Machine, family: AddressFamily): number {
  if (family === 6) {
    const text = from.proc("net/snmp6");
    const counter = (name: string) => Number(new RegExp(`^${name}\\s+([0-9]+)$`, "m").exec(text)?.[1]);
    return counter("Icmp6OutEchos") - counter("Icmp6InEchoReplies");
  }
  const lines = from.proc("net/snmp").split("\n");
  const [names, values] = lines.filter((line) => line.startsWith("Icmp:")).map((line) => line.split(" "));
  const counter = (name: string) => Number(values[names.indexOf(name)]);
  return counter("OutEchos") - counter("InEchoReps");
}

/** Whether as many answers are missing as were before, at once or after a while. */
async function comeLate(from: Machine, family: AddressFamily, before: number): Promise<boolean> {
  for (let looks = 0; looks < 100; looks++) {
    if (unansweredPings(from, family) <= before) return true;
    await setTimeout(10);
  }
  return false;
}

/** One ping with an IP packet of each of these lengths, Don't Fragment set. Throws, with what `ping` said, where one has no answer. */
export async function pingEach(from: Machine, address: string, packetLengths: readonly number[]): Promise<void> {
  const headers = address.includes(":") ? 48 : 28;
  const script = 'for size; do ping -n -c 1 -W 10 -M do -s "$size" "$0" || exit 1; done'; // a spawn for each would be slow
  const sizes = packetLengths.map((length) => String(length - headers));
  await from.run("sh", "-c", script, address, ...sizes);
}
