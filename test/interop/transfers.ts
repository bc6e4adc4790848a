/** Data over one TCP connection between two hosts, compared at both ends. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Machine } from "./machine.ts";
import type { TransferReport } from "./transfer.ts";

const transferProgram = [process.execPath, fileURLToPath(new URL("./transfer.ts", import.meta.url))];
const megabyte = 1_000_000;

/** Random bytes both ways over one connection. Fails unless what arrives is what was sent. */
export async function transferBothWays(from: Machine, to: Machine, address: string): Promise<void> {
  const bytes = 2 * megabyte;
  const server = to.start([...transferProgram, "serve", "7000", String(bytes)]);
  await server.line(/listening/);
  const client = from.start([...transferProgram, "connect", address, "7000", String(bytes)]);
  const [left, right]: TransferReport[] = await Promise.all(
    [client, server].map(async (program) => JSON.parse(await program.line(/^\{/))),
  );
  assert.deepEqual([left.receivedBytes, right.receivedBytes], [bytes, bytes]);
  assert.deepEqual([right.received, left.received], [left.sent, right.sent]);
}
