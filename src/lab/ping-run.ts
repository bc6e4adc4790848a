/**
 * Pings from a host with an unmodified program: the machine's `ping` where that is the one of iputils, whose payload can
 * be chosen; else our own, which uses sockets as any program does and knows of no tunnel.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Host } from "./host.ts";
import { ownProgram } from "./program.ts";
import type { PingReply, PingRun } from "./record.ts";

/**
 * Also what iputils waits for the last reply where it has had others (or twice the longest round trip, if that is more):
 * one that is later on a busy machine would be missing.
 */
const lingerMs = 1000;
const apartMs = 500;
const mostTogether = 3; // iputils allows more to root alone
const patienceSeconds = 3; // where no reply comes at all

export interface PingRequest {
  readonly destination: string;
  readonly count: number;
  /** Not all at once but one by one, for a tunnel that would tear them else. */
  readonly apart?: boolean;
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
  const { destination, count, pattern, apart = false } = request;
  const command =
    installed === undefined
      ? ownProgram("programs/ping", destination, String(count), String(apart ? apartMs : 0), pattern)
      : iputils(request);
  const { output } = await host.start(command).ended;
  const program = installed ?? "built-in ping";
  return { program, destination, sent: count, replies: parseReplies(output) };
}

function iputils({ destination, count, pattern, apart = false }: PingRequest): string[] {
  const options = ["-n", "-c", String(count), "-W", String(patienceSeconds), "-p", pattern];
  const intervalSeconds = (apart ? apartMs : lingerMs) / 1000;
  const together = apart ? 1 : Math.min(count, mostTogether);
  return ["ping", ...options, "-i", String(intervalSeconds), "-l", String(together), destination];
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
