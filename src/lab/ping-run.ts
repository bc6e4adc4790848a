/**
 * Pings from a host with an unmodified program: the machine's `ping` where that is the one of iputils, whose payload can
 * be chosen; else our own, which uses sockets as any program does and knows of no tunnel.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Host } from "./host.ts";
import { ownProgram } from "./program.ts";
import type { PingReply, PingRun } from "./record.ts";

const intervalMs = 200; // the shortest that iputils allows everybody
const patienceSeconds = 3; // where no reply comes at all

export interface PingRequest {
  readonly destination: string;
  readonly count: number;
  /** 16 bytes that fill the payload, in hexadecimal. */
  readonly pattern: string;
}

/** What there is to ping with: the version of iputils, or `undefined`. */
export async function findPing(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)("ping", ["-V"]);
    return stdout.startsWith("ping from iputils") ? stdout.split("\n")[0] : undefined;
  } catch {
    return undefined;
  }
}

/** Runs to the end, which is some seconds away where nothing answers. */
export async function ping(host: Host, installed: string | undefined, request: PingRequest): Promise<PingRun> {
  const { destination, count, pattern } = request;
  const command =
    installed === undefined
      ? ownProgram("programs/ping", destination, String(count), String(intervalMs), pattern)
      : iputils(request);
  const { output } = await host.start(command).ended;
  const program = installed ?? "built-in ping";
  return { program, destination, sent: count, replies: parseReplies(output) };
}

function iputils({ destination, count, pattern }: PingRequest): string[] {
  const options = ["-n", "-c", String(count), "-i", String(intervalMs / 1000), "-W", String(patienceSeconds)];
  return ["ping", ...options, "-p", pattern, destination];
}

/** The lines of replies in what either program prints. */
export function parseReplies(output: string): PingReply[] {
  const line = /^(\d+) bytes from ([0-9a-f.:]+): icmp_seq=(\d+)(?: ttl=\d+)? time=([\d.]+) ms$/gm;
  return [...output.matchAll(line)].map(([, bytes, from, sequence, milliseconds]) => ({
    from,
    sequence: Number(sequence),
    bytes: Number(bytes),
    milliseconds: Number(milliseconds),
  }));
}
