import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { AddressFamily } from "../../src/base/address.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import type { TunnelOptions } from "../../src/tunnel/tunnel.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import type { Machine } from "./machine.ts";
import type { TransferReport } from "./transfer.ts";
import { families, inside, TunnelPair } from "./tunnel-pair.ts";
import { TwoTunnels, within } from "./two-tunnels.ts";
import { endpointOf } from "./underlay.ts";
import { requireWireguardGo, wireguardGoPrograms } from "./wireguard-go.ts";

const transferProgram = [process.execPath, fileURLToPath(new URL("./transfer.ts", import.meta.url))];
const bytes = 4_000_000;
const port = "7000";

/** A host on the way whose queue is long: each tenth send that leaves here able to carry the mark is marked. */
async function congest(host: Machine): Promise<void> {
  await host.run("nft", "add table inet busy; add chain inet busy out { type filter hook postrouting priority 0; }");
  for (const ip of ["ip", "ip6"]) {
    await host.run("nft", `add rule inet busy out oif eth0 ${ip} ecn != not-ect numgen inc mod 10 0 ${ip} ecn set ce`);
  }
}

function negotiateEcn(host: Machine): void {
  host.namespace.run(() => Sysctl.set("net/ipv4/tcp_ecn", 1));
}

/** How many packets this host's TCP has sent that were acknowledged as marked. Datagrams of the tunnel do not count. */
function deliveredMarked(host: Machine): number {
  const [names, values] = host
    .proc("net/netstat")
    .split("\n")
    .filter((line) => line.startsWith("TcpExt:"))
    .map((line) => line.split(" "));
  const found = Number(values[names.indexOf("TCPDeliveredCE")]);
  return Number.isInteger(found) ? found : assert.fail("the kernel does not count what is marked");
}

/** Random bytes both ways over one connection, opened from the left. Fails unless what arrives is what was sent. */
async function transfer(left: Machine, right: Machine, address: string): Promise<void> {
  const server = right.start([...transferProgram, "serve", port, String(bytes)]);
  await server.line(/listening/);
  const client = left.start([...transferProgram, "connect", address, port, String(bytes)]);
  const [there, here]: TransferReport[] = await Promise.all(
    [server, client].map(async (program) => JSON.parse(await program.line(/^\{/))),
  );
  assert.deepEqual([there.received, here.received], [here.sent, there.sent]);
}

function isReady(t: TestContext): boolean {
  return requireNamespaces(t) && requireProgram(t, "nft", "nftables") !== undefined;
}

describe("congestion on the way", { concurrency: 1, timeout: 120_000 }, () => {
  for (const outside of families) {
    test(`reaches TCP inside as a mark instead of a loss, outside IPv${outside}`, async (t) => {
      if (!isReady(t)) return;
      const towards = (family: AddressFamily): Partial<TunnelOptions> => ({ listenPort: 5900 + family });
      await using tunnels = await TwoTunnels.open((side) => towards(side === "left" ? 4 : 6));
      const { left, right } = tunnels.underlay;
      tunnels.left.updatePeer(tunnels.keyOf("right"), { endpoint: endpointOf("right", outside, 5906) });
      for (const host of [left, right]) negotiateEcn(host);
      await congest(left);
      let marked = 0;
      for (const family of families) {
        await transfer(left, right, within.right[family]);
        assert.ok(deliveredMarked(left) > marked, `IPv${family} inside IPv${outside}`);
        marked = deliveredMarked(left);
      }
      assert.equal(deliveredMarked(right), 0, "what the right sends meets no congestion");
      for (const tunnel of [tunnels.left, tunnels.right]) {
        assert.equal(tunnel.status().drops["packet-not-ecn-capable"], undefined);
      }
    });
  }

  for (const program of wireguardGoPrograms) {
    test(`does no harm where ${program}, which copies no marks, is the other end`, async (t) => {
      if (!isReady(t) || !requireWireguardGo(t, program)) return;
      using pair = await TunnelPair.open({ program });
      for (const host of [pair.left, pair.right]) {
        negotiateEcn(host);
        await congest(host);
      }
      for (const family of families) await transfer(pair.left, pair.right, inside.right[family]);
      assert.equal(deliveredMarked(pair.left) + deliveredMarked(pair.right), 0);
      assert.equal((await pair.warren.stop()).status?.drops["packet-not-ecn-capable"], undefined);
    });
  }
});
