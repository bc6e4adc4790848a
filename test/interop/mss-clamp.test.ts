import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PacketSocket } from "../../src/os/packet-socket.ts";
import { dissect } from "../../src/packet/dissection.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import type { Machine } from "./machine.ts";
import { ping } from "./ping.ts";
import { families, inside, TunnelPair } from "./tunnel-pair.ts";
import { requireWireguardGo } from "./wireguard-go.ts";

const transfer = fileURLToPath(new URL("transfer.ts", import.meta.url));
const bytes = "20000";

/** What each SYN announced that came out of the tunnel at a host, in order. */
function announced(socket: PacketSocket): number[] {
  return socket.drainPackets().flatMap(({ bytes, outgoing }) => {
    const fields = dissect(bytes).filter(({ layer }) => layer === "TCP");
    const flags = fields.find(({ name }) => name.includes("flags"))?.bytes[1] ?? 0;
    const options = fields.find(({ name }) => name === "options")?.bytes;
    if (outgoing || (flags & 2) === 0 || options?.[0] !== 2) return [];
    return [options[2] * 256 + options[3]]; // Linux puts it first
  });
}

async function connectBetween(server: Machine, client: Machine, address: string): Promise<void> {
  const serving = server.start([process.execPath, transfer, "serve", "7000", bytes]);
  await serving.line(/listening/);
  await client.run(process.execPath, transfer, "connect", address, "7000", bytes);
  await serving.outcome;
}

describe("the MSS of connections through the tunnel", { timeout: 60_000 }, () => {
  for (const [clamps, expected] of [
    [true, { 4: 1380, 6: 1360 }],
    [false, { 4: 1460, 6: 1440 }],
  ] as const) {
    test(`ClampMss = ${clamps}: SYN and SYN-ACK, both directions, IPv4 and IPv6`, async (t) => {
      if (!requireNamespaces(t) || !requireWireguardGo(t, "wireguard-go")) return;
      if (!requireProgram(t, "ping", "iputils-ping") || !requireProgram(t, "ip", "iproute2")) return;
      using pair = await TunnelPair.open({
        program: "wireguard-go",
        peerMtu: 1500,
        settings: [`ClampMss = ${clamps}`],
      });
      assert.equal((await ping(pair.left, inside.right[4])).received, 1);
      // The far side has a larger MTU than fits; the near one is told to announce as much.
      await pair.left.run("ip", "route", "replace", inside.right[4], "dev", "wg0", "advmss", "1460");
      await pair.left.run("ip", "route", "add", inside.right[6], "dev", "wg0", "metric", "1", "advmss", "1440");
      using atLeft = pair.left.namespace.run(() => PacketSocket.open({ device: pair.left.indexOf("wg0") }));
      const { name } = pair.peer;
      using atRight = pair.right.namespace.run(() => PacketSocket.open({ device: pair.right.indexOf(name) }));
      for (const family of families) {
        await connectBetween(pair.left, pair.right, inside.left[family]);
        await connectBetween(pair.right, pair.left, inside.right[family]);
        // One came as SYN, the other as SYN-ACK.
        assert.deepEqual(announced(atLeft), [expected[family], expected[family]], `inbound, IPv${family}`);
        assert.deepEqual(announced(atRight), [expected[family], expected[family]], `outbound, IPv${family}`);
      }
    });
  }
});
