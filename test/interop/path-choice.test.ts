/**
 * A tunnel that has UDP and TCP to choose from, while UDP is blocked and released:
 *
 *     left  warren up ===== udp, tcp ===== warren up  right
 */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import type { Program } from "./machine.ts";
import { slowdown } from "./patience.ts";
import { ping } from "./ping.ts";
import { inside, StreamPair } from "./stream-pair.ts";
import { requireWireguardGo, wireguardGoPrograms } from "./wireguard-go.ts";

const program = [process.execPath, fileURLToPath(new URL("./steady-connection.ts", import.meta.url))];
const both = { peer: ["Endpoint = 192.0.2.2:51820, tcp://192.0.2.2:443"], listen: ["Listen = tcp://*:443"] };

function isReady(t: TestContext): boolean {
  return requireNamespaces(t) && requireProgram(t, "nft", "nftables") !== undefined;
}

/** Waits for an answer that comes from now on, after so many milliseconds of silence or more. Returns how many it were. */
async function nextAnswer(client: Program, silenceMs = 0): Promise<number> {
  const since = Date.now();
  for (;;) {
    const [, at, after] = /at ([0-9]+) after ([0-9]+)/.exec(await client.line(/^answer/, 20_000)) ?? [];
    if (Number(at) > since && Number(after) >= silenceMs) return Number(after);
  }
}

describe("a tunnel with a choice of ways", { concurrency: 1, timeout: 120_000 }, () => {
  test("UDP blocked from the start: connected over TCP in under 3 s", async (t) => {
    if (!isReady(t)) return;
    using pair = new StreamPair();
    await pair.blockUdp();
    await pair.startRight(both);
    const left = await pair.startLeft(both);
    const report = await ping(pair.underlay.left, inside.right, { count: 1, patienceSeconds: 10 });
    assert.equal(report.received, 1, report.output);
    const elapsedMs = Number(/time=([0-9.]+) ms/.exec(report.output)?.[1]); // without the time ping takes to start
    assert.ok(elapsedMs < 3000 * slowdown(), `it took ${elapsedMs} ms`);
    t.diagnostic(`connected after ${Math.round(elapsedMs)} ms`);
    const { stderr, status } = await left.stop();
    assert.match(stderr, /udp:\/\/192\.0\.2\.2:51820 has not answered for 0\.[0-9] s: now by tcp:\/\/192\.0\.2\.2:443/);
    assert.equal(status?.peers[0].endpoint, "tcp://192.0.2.2:443");
  });

  for (const other of ["warren", ...wireguardGoPrograms]) {
    test(`UDP blocked in mid-flow, against ${other}: on over TCP within 5 s, back within 30 s of its release, and a connection lives on`, async (t) => {
      if (!isReady(t) || (other !== "warren" && !requireWireguardGo(t, other))) return;
      using pair = new StreamPair();
      const { left, right } = pair.underlay;
      if (other === "warren") await pair.startRight(both);
      else await pair.startStockRight(other, "tcp://192.0.2.2:443");
      const tunnel = await pair.startLeft(both);
      const server = right.start([...program, "serve", "7000"], "");
      await server.line(/listening/);
      const client = left.start([...program, "connect", inside.right, "7000"], "");
      await nextAnswer(client);
      await pair.blockUdp();
      const blockedAt = Date.now();
      const silentMs = await nextAnswer(client, 1000);
      t.diagnostic(`answers again ${silentMs} ms after UDP was blocked`);
      assert.ok(silentMs < 5000 * slowdown(), `it took ${silentMs} ms`);
      await nextAnswer(client);
      await pair.releaseUdp();
      const begun = performance.now();
      await tunnel.program.complains(/udp:\/\/192\.0\.2\.2:51820 answers again/, 30_000);
      t.diagnostic(`back to UDP ${Math.round(performance.now() - begun)} ms after its release`);
      await nextAnswer(client);
      const { stderr, status } = await tunnel.stop();
      assert.match(stderr, /udp:\/\/192\.0\.2\.2:51820 has answered nothing for [0-9.]+ s, nor a probe: now by tcp:/);
      const [peer] = status?.peers ?? [];
      assert.equal(peer.endpoint, "192.0.2.2:51820");
      assert.ok(Number(peer.lastHandshakeAt) < blockedAt, "it was one session throughout");
      assert.equal(status?.paths[peer.publicKey].decisions.length, 2, stderr);
    });
  }
});
