import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/**
 * How many times longer than alone whatever takes processor time may take here and now: by how many are in a queue for
 * each processor, at this moment or in the last minute.
 */
export function slowdown(): number {
  const [lastMinute, , , now] = readFileSync("/proc/loadavg", "utf8").split(" ");
  return Math.max(1, Math.max(Number(lastMinute), Number.parseInt(now, 10)) / availableParallelism());
}

/** Waits for what should happen, no longer than so many milliseconds: what has not happened by then has failed, by name. */
export async function within<T>(patienceMs: number, what: string | (() => string), happening: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new Error(`waited ${patienceMs} ms in vain for ${typeof what === "string" ? what : what()}`));
  }, patienceMs);
  try {
    return await Promise.race([happening, promise]);
  } finally {
    clearTimeout(timer);
  }
}
