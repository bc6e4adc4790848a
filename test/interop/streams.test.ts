import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { AddressFamily } from "../../src/base/address.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { serveIperf } from "./iperf-server.ts";
import type { Machine } from "./machine.ts";
import type { TransferReport } from "./transfer.ts";
import { families, inside, TunnelPair } from "./tunnel-pair.ts";
import { fragmentsMade } from "./underlay.ts";
import { requireWireguardGo, wireguardGoPrograms } from "./wireguard-go.ts";

const transferProgram = [process.execPath, fileURLToPath(new URL("./transfer.ts", import.meta.url))];
const megabyte = 1_000_000;
const port = "7000";

/** Random bytes both ways over one connection, opened from the left. Fails unless what arrives is what was sent. */
async function transfer(pair: TunnelPair, family: AddressFamily, bytes: number): Promise<void> {
  const server = pair.right.start([...transferProgram, "serve", port, String(bytes)]);
  await server.line(/listening/);
  const client = pair.left.start([...transferProgram, "connect", inside.right[family], port, String(bytes)]);
  const [left, right]: TransferReport[] = await Promise.all(
    [client, server].map(async (program) => JSON.parse(await program.line(/^\{/))),
  );
  assert.equal(left.receivedBytes, bytes);
  assert.equal(right.receivedBytes, bytes);
  assert.equal(right.received, left.sent, "what the left sent");
  assert.equal(left.received, right.sent, "what the right sent");
}

/** iperf3 from the left, forwards or, with `-R`, backwards. */
async function iperf(pair: TunnelPair, family: AddressFamily, ...more: string[]): Promise<void> {
  const server = await serveIperf(pair.right);
  const bytes = 100 * megabyte;
  const client = await pair.left.run(
    ...["iperf3", "--client", inside.right[family], "--json", "--bytes", String(bytes), ...more],
  );
  await server.ended();
  const { end } = JSON.parse(client);
  assert.ok(end.sum_received.bytes >= bytes * 0.95, `${end.sum_received.bytes} of ${bytes} bytes arrived`);
  assert.ok(end.sum_sent.bytes >= bytes);
}

async function announceMss(host: Machine, destination: string, device: string, mss: number): Promise<void> {
  await host.run("ip", "route", "replace", destination, "dev", device, "advmss", String(mss));
}

function isReady(t: TestContext, program: string): boolean {
  return requireNamespaces(t) && requireWireguardGo(t, program);
}

describe("TCP through the tunnel", { concurrency: 1, timeout: 240_000 }, () => {
  for (const program of wireguardGoPrograms) {
    for (const outside of families) {
      test(`20 MB each way arrive as they were sent, outside IPv${outside}, with ${program}`, async (t) => {
        if (!isReady(t, program)) return;
        using pair = await TunnelPair.open({ program, outside });
        for (const family of families) await transfer(pair, family, 20 * megabyte);
        assert.equal(fragmentsMade(pair.left), 0);
        assert.equal((await pair.warren.stop()).status?.drops["packet-malformed"], undefined);
      });
    }

    test(`with MTUs of 1,393 and 1,413 against ${program}`, async (t) => {
      if (!isReady(t, program)) return;
      using pair = await TunnelPair.open({ program, outside: 6, warrenMtu: 1393, peerMtu: 1413 });
      for (const family of families) await transfer(pair, family, 2 * megabyte);
      assert.equal(fragmentsMade(pair.left), 0);
      assert.equal(fragmentsMade(pair.right), 0);
    });

    test(`iperf3 both ways with ${program}`, async (t) => {
      if (!isReady(t, program) || requireProgram(t, "iperf3", "iperf3") === undefined) return;
      using pair = await TunnelPair.open({ program, outside: 6, initiator: "wireguard-go" });
      await pair.right.run("ping", "-c", "1", "-W", "10", inside.left[4]);
      await iperf(pair, 4);
      await iperf(pair, 6, "--reverse");
    });

    test(`a TCP peer behind ${program} that announces an MSS of 48`, async (t) => {
      if (!isReady(t, program) || requireProgram(t, "ip", "iproute2") === undefined) return;
      using pair = await TunnelPair.open({ program });
      await announceMss(pair.right, `${inside.left[4]}/32`, pair.peer.name, 48);
      await transfer(pair, 4, megabyte);
      const { code, stderr, status } = await pair.warren.stop();
      assert.equal(code, 0, stderr);
      const packets = status?.workers.outbound.packets ?? 0;
      assert.ok(packets > megabyte / 48, `the peer's MSS was heeded: ${packets} packets`);
    });
  }
});
