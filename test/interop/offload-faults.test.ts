import assert from "node:assert/strict";
import { after, describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Offload } from "../../src/os/offload-fault.ts";
import { requireNamespaces } from "../requirements.ts";
import { FaultyMachine } from "./faulty-machine.ts";
import { MixedPair } from "./mixed-pair.ts";
import type { TransferReport } from "./transfer.ts";
import { families } from "./tunnel-pair.ts";
import { within } from "./two-tunnels.ts";
import type { Underlay } from "./underlay.ts";

const transferProgram = [process.execPath, fileURLToPath(new URL("./transfer.ts", import.meta.url))];
const bytes = 1_000_000;
const refusedByTun = "TUNSETOFFLOAD refused it";
const unknown = "the kernel does not know it";
const spoilt = "a train of equal datagrams did not arrive as it was sent";

/** What faulty-machine.c can break, what warren is then to do without, and whether that is a fault to be told of. */
const faults: readonly (readonly [fault: string, off: Partial<Record<Offload, string>>, isSaid: boolean])[] = [
  ["no-uso", { USO: refusedByTun }, false],
  ["no-tso", { "TSO over IPv4": refusedByTun, "TSO over IPv6": refusedByTun, USO: refusedByTun }, false],
  ["no-tun-offload", { "TSO over IPv4": refusedByTun, "TSO over IPv6": refusedByTun, USO: refusedByTun }, false],
  ["no-segment", { UDP_SEGMENT: unknown }, false],
  ["no-gro", { UDP_GRO: unknown }, false],
  ["segment-eio", { UDP_SEGMENT: "sendmsg failed with EIO" }, true],
  ["equal-tail", { UDP_SEGMENT: spoilt }, true],
  ["gro-size", { UDP_GRO: spoilt }, true],
  ["tun-einval", { "TSO over IPv4": "write failed with EINVAL", "TSO over IPv6": "write failed with EINVAL" }, true],
];

async function transfer({ left, right }: Underlay, address: string): Promise<void> {
  const server = right.start([...transferProgram, "serve", "7000", String(bytes)]);
  await server.line(/listening/);
  const client = left.start([...transferProgram, "connect", address, "7000", String(bytes)]);
  const [there, here]: TransferReport[] = await Promise.all(
    [server, client].map(async (program) => JSON.parse(await program.line(/^\{/))),
  );
  assert.deepEqual([there.received, here.received], [here.sent, there.sent]);
}

describe("a kernel whose offloads are missing or broken", { concurrency: 2, timeout: 120_000 }, () => {
  const machine = new FaultyMachine();
  after(() => machine[Symbol.dispose]());
  const isReady = (t: TestContext) => requireNamespaces(t) && machine.isReady(t);

  for (const [fault, off, isSaid] of faults) {
    test(`${fault}: warren goes on without ${Object.keys(off).join(", ")}`, async (t) => {
      if (!isReady(t)) return;
      await using pair = await MixedPair.open(machine.environment(fault));
      for (const family of families) await transfer(pair.underlay, within.right[family]);
      const { status, stderr } = await pair.left.stop();
      const found = Object.fromEntries(status?.offloads.off.map(({ offload, why }) => [offload, why]) ?? []);
      assert.deepEqual(found, off);
      for (const offload of Object.keys(off)) {
        const lines = stderr.split("\n").filter((line) => line.startsWith(`warren: ${offload} is switched off`));
        assert.equal(lines.length, isSaid ? 1 : 0, stderr);
      }
      for (const reason of ["send-failed", "tun-write-failed", "message-undecryptable"] as const) {
        assert.equal(status?.drops[reason], undefined, reason);
        assert.equal(pair.right.status().drops[reason], undefined, reason);
      }
    });
  }

  test("without a fault there is nothing to do without", async (t) => {
    if (!isReady(t)) return;
    await using pair = await MixedPair.open(machine.environment("none"));
    const { status, stderr } = await pair.left.stop();
    assert.deepEqual(status?.offloads.off, []);
    assert.equal(stderr, "");
  });
});
