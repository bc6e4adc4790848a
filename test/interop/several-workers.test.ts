import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { serveIperf } from "./iperf-server.ts";
import type { OrderReport } from "./ordered-datagrams.ts";
import { slowdown } from "./patience.ts";
import { interfaceName, type Side, TwoTunnels, within } from "./two-tunnels.ts";

const soonMs = 1000;
const stream = [process.execPath, fileURLToPath(new URL("./ordered-datagrams.ts", import.meta.url))];
const isReady = (t: TestContext) => requireNamespaces(t) && requireProgram(t, "iperf3", "iperf3") !== undefined;

const open = (workers: number) => TwoTunnels.open(() => ({ workers }));

async function datagrams({ underlay }: TwoTunnels, from: Side, port: number): Promise<OrderReport> {
  const to = from === "left" ? "right" : "left";
  const receiver = underlay[to].start([...stream, "receive", String(port)]);
  await receiver.line(/listening/);
  await underlay[from].run(...stream, "send", within[to][4], String(port), "60000");
  return JSON.parse(await receiver.line(/^\{/));
}

/** TCP both ways at once, running when this resolves. */
async function load({ underlay: { left, right } }: TwoTunnels, seconds: number) {
  const server = await serveIperf(right);
  const options = ["--bidir", "--time", String(seconds), "--interval", "0.1", "--forceflush"];
  const client = left.start(["iperf3", "--client", within.right[4], ...options]);
  for (let intervals = 0; intervals < 4; intervals++) await client.line(/bits\/sec/);
  return { server, client };
}

describe("several workers a direction", { timeout: 120_000 }, () => {
  for (const workers of [2, 3]) {
    test(`${workers}: packets of a flow stay in order, no number is used twice, and sessions change under load`, async (t) => {
      if (!isReady(t)) return;
      await using tunnels = await open(workers);
      await tunnels.answers("left");
      const { server, client } = await load(tunnels, 4);
      const flows = [datagrams(tunnels, "left", 7001), datagrams(tunnels, "right", 7002)];
      const handshakeAt = tunnels.lastHandshakeAt("left");
      while (tunnels.lastHandshakeAt("left") === handshakeAt) {
        tunnels.left.shakeHands(tunnels.keyOf("right"));
        await setTimeout(100);
      }
      for (const { received, overtaken } of await Promise.all(flows)) {
        assert.ok(received > 1000, `${received} received`);
        assert.equal(overtaken, 0);
      }
      await server.ended();
      assert.equal((await client.outcome).code, 0);
      for (const side of ["left", "right"] as const) {
        // The receiver's window knows every number: one used twice would be taken for a replay, or not be authentic.
        const { "message-replayed": replayed = 0, "message-undecryptable": forged = 0 } = tunnels[side].status().drops;
        assert.deepEqual({ replayed, forged }, { replayed: 0, forged: 0 });
      }
    });

    test(`${workers}: a tunnel ends under load within a second`, async (t) => {
      if (!isReady(t)) return;
      await using tunnels = await open(workers);
      await tunnels.answers("left");
      await load(tunnels, 60);
      const begun = performance.now();
      await tunnels.left.close();
      assert.ok(performance.now() - begun < soonMs * slowdown(), `it took ${performance.now() - begun} ms`);
    });

    test(`${workers}: one that fails under load ends the tunnel, and the others do not hang`, async (t) => {
      if (!isReady(t)) return;
      await using tunnels = await open(workers);
      await tunnels.answers("left");
      await load(tunnels, 60);
      const { left } = tunnels.underlay;
      left.config.links.delete(left.indexOf(interfaceName));
      assert.match((await tunnels.left.failure).line, /bring the tunnel up again/);
      const begun = performance.now();
      await tunnels.left.close();
      assert.ok(performance.now() - begun < soonMs * slowdown(), `it took ${performance.now() - begun} ms`);
    });
  }
});
