import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { requireProgram } from "../requirements.ts";
import {
  addressesOf,
  classicPort,
  families,
  isReady,
  megabyte,
  SeedProgram,
  serverAddress,
  startClient,
  startServer,
  stop,
  transfer,
  tunnelOf,
} from "./classic-pair.ts";
import type { Machine } from "./machine.ts";
import { ping } from "./ping.ts";
import { Underlay } from "./underlay.ts";

/** The seed's reader takes what one read gives for one packet: warren has to leave it the time to read each. */
describe("the seed's program", { concurrency: 1, timeout: 120_000 }, () => {
  const size = 10 * megabyte;

  function isBuilt(t: TestContext): string | undefined {
    return isReady(t) ? requireProgram(t, "cc", "gcc") : undefined;
  }

  function configure(host: Machine, side: "client" | "server"): void {
    host.setUp("tun0", `${tunnelOf[side][4]}/24`, `${tunnelOf[side][6]}/64`);
  }

  /** The seed's reader tears a packet that TCP has joined to another, such as a greeting: one ping of three may be lost. */
  async function answers(from: Machine, address: string): Promise<void> {
    const { received, output } = await ping(from, address, { count: 3, intervalSeconds: 0.2 });
    assert.ok(received >= 2, output);
  }

  test("as client of warren: ping and 10 MB of TCP each way", async (t) => {
    const compiler = isBuilt(t);
    if (compiler === undefined) return;
    using seed = new SeedProgram(compiler);
    using underlay = new Underlay();
    const server = await startServer(underlay.right);
    const peer = underlay.left.start([seed.path, "client", serverAddress, String(classicPort), "tun0"]);
    await peer.line(/ready/);
    configure(underlay.left, "client");
    for (const family of families) await answers(underlay.left, tunnelOf.server[family]);
    await transfer(underlay, tunnelOf.server[4], size);
    await stop(server);
  });

  test("as server of warren: ping and 10 MB of TCP each way", async (t) => {
    const compiler = isBuilt(t);
    if (compiler === undefined) return;
    using seed = new SeedProgram(compiler);
    using underlay = new Underlay();
    const peer = underlay.right.start([seed.path, "server", serverAddress, String(classicPort), "tun0"]);
    await peer.line(/listening/);
    const client = await startClient(underlay.left, ...addressesOf("client"));
    await peer.line(/ready/);
    configure(underlay.right, "server");
    for (const family of families) await answers(underlay.left, tunnelOf.server[family]);
    await transfer(underlay, tunnelOf.server[4], size);
    await stop(client);
  });
});
