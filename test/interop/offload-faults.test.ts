import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Cidr } from "../../src/base/address.ts";
import { PrivateKey } from "../../src/base/keys.ts";
import type { Offload } from "../../src/os/offload-fault.ts";
import { hostSetup } from "../../src/tunnel/host-setup.ts";
import type { Tunnel } from "../../src/tunnel/tunnel.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import type { TransferReport } from "./transfer.ts";
import { families, publicKeyOf } from "./tunnel-pair.ts";
import { openInside, within } from "./two-tunnels.ts";
import { endpointOf, Underlay } from "./underlay.ts";
import { WarrenProcess } from "./warren-process.ts";

const transferProgram = [process.execPath, fileURLToPath(new URL("./transfer.ts", import.meta.url))];
const bytes = 1_000_000;
const refusedByTun = "TUNSETOFFLOAD refused it";
const unknown = "the kernel does not know it";
const spoilt = "a train of equal datagrams did not arrive as it was sent";

/** What faulty-kernel.c can break, what warren is then to do without, and whether that is a fault to be told of. */
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

/** warren on the left, on a kernel with a fault; on the right another without. */
async function openPair(
  environment: Readonly<Record<string, string>>,
  resources: AsyncDisposableStack,
): Promise<{ underlay: Underlay; faulty: WarrenProcess; other: Tunnel }> {
  const underlay = resources.use(new Underlay());
  const keys = { left: new PrivateKey(randomBytes(32)), right: new PrivateKey(randomBytes(32)) };
  const other = await openInside(underlay.right, () => ({
    name: "wg0",
    privateKey: keys.right,
    listenPort: 5902,
    setUp: hostSetup({ addresses: [Cidr.parse(`${within.right[4]}/24`), Cidr.parse(`${within.right[6]}/64`)] }),
    peers: [
      {
        publicKey: publicKeyOf(keys.left),
        allowedIps: [Cidr.parse(within.left[4]), Cidr.parse(within.left[6])],
      },
    ],
  }));
  resources.use(other);
  const config = [
    "[Interface]",
    `PrivateKey = ${keys.left.reveal()}`,
    `Address = ${within.left[4]}/24, ${within.left[6]}/64`,
    "[Peer]",
    `PublicKey = ${publicKeyOf(keys.right)}`,
    `AllowedIPs = ${within.right[4]}/32, ${within.right[6]}/128`,
    `Endpoint = ${endpointOf("right", 4, 5902)}`,
  ].join("\n");
  const faulty = await WarrenProcess.start(underlay.left, "wg0", config, { ownSockets: true, environment });
  return { underlay, faulty, other };
}

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
  const folder = mkdtempSync(join(tmpdir(), "warren-fault-"));
  const library = join(folder, "faulty-kernel.so");
  let isBuilt = false;

  before(() => {
    const source = fileURLToPath(new URL("./faulty-kernel.c", import.meta.url));
    try {
      execFileSync("cc", ["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"]);
      isBuilt = true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  });

  after(() => rmSync(folder, { recursive: true }));

  const isReady = (t: TestContext) => requireNamespaces(t) && requireProgram(t, "cc", "gcc") !== undefined && isBuilt;

  for (const [fault, off, isSaid] of faults) {
    test(`${fault}: warren goes on without ${Object.keys(off).join(", ")}`, async (t) => {
      if (!isReady(t)) return;
      await using resources = new AsyncDisposableStack();
      const environment = { LD_PRELOAD: library, FAULT: fault };
      const { underlay, faulty, other } = await openPair(environment, resources);
      for (const family of families) await transfer(underlay, within.right[family]);
      const { status, stderr } = await faulty.stop();
      const found = Object.fromEntries(status?.offloads.off.map(({ offload, why }) => [offload, why]) ?? []);
      assert.deepEqual(found, off);
      for (const offload of Object.keys(off)) {
        const lines = stderr.split("\n").filter((line) => line.startsWith(`warren: ${offload} is switched off`));
        assert.equal(lines.length, isSaid ? 1 : 0, stderr);
      }
      for (const reason of ["send-failed", "tun-write-failed", "message-undecryptable"] as const) {
        assert.equal(status?.drops[reason], undefined, reason);
        assert.equal(other.status().drops[reason], undefined, reason);
      }
    });
  }

  test("without a fault there is nothing to do without", async (t) => {
    if (!isReady(t)) return;
    await using resources = new AsyncDisposableStack();
    const { faulty } = await openPair({ LD_PRELOAD: library, FAULT: "none" }, resources);
    const { status, stderr } = await faulty.stop();
    assert.deepEqual(status?.offloads.off, []);
    assert.equal(stderr, "");
  });
});
