import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { requireNamespaces } from "../requirements.ts";
import type { DatagramReport } from "./datagram-stream.ts";
import type { Machine } from "./machine.ts";
import { families, inside, TunnelPair } from "./tunnel-pair.ts";
import { requireWireguardGo, wireguardGoPrograms } from "./wireguard-go.ts";

const streamProgram = [process.execPath, fileURLToPath(new URL("./datagram-stream.ts", import.meta.url))];
const count = 4000;

async function stream(from: Machine, to: Machine, address: string, port: number): Promise<DatagramReport> {
  const receiver = to.start([...streamProgram, "receive", String(port), String(count)]);
  await receiver.line(/listening/);
  await from.run(...streamProgram, "send", address, String(port), String(count));
  return JSON.parse(await receiver.line(/^\{/));
}

describe("UDP through the tunnel", { timeout: 240_000 }, () => {
  for (const program of wireguardGoPrograms) {
    test(`datagrams of many lengths arrive whole, once, and all of them, with ${program}`, async (t) => {
      if (!requireNamespaces(t) || !requireWireguardGo(t, program)) return;
      using pair = await TunnelPair.open({ program });
      for (const family of families) {
        const reports = await Promise.all([
          stream(pair.left, pair.right, inside.right[family], 7001),
          stream(pair.right, pair.left, inside.left[family], 7002),
        ]);
        for (const report of reports) assert.deepEqual(report, { received: count, corrupted: 0, duplicates: 0 });
      }
      const { status } = await pair.warren.stop();
      const packets = status?.workers.outbound.packets ?? 0;
      const calls = status?.workers.outbound.systemCalls ?? 0;
      if (status?.offloads.tun.udp) {
        assert.ok(calls < packets * 2, `super-packets save calls: ${calls} for ${packets} packets`);
      }
    });
  }
});
