/**
 * One tunnel with many idle peers, in a process of its own, started as `bin/warren` starts node. Its argument is how many.
 * Prints one JSON object, a `ScaleReport`, when it has been idle for a while.
 */
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import { PrivateKey, PublicKey } from "../../src/base/keys.ts";
import { hostSetup } from "../../src/tunnel/host-setup.ts";
import { Tunnel } from "../../src/tunnel/tunnel.ts";

export interface ScaleReport {
  /** How long it took to add the peers. */
  readonly addedMs: number;
  /** Resident memory above that of the same tunnel without peers. */
  readonly grownBytes: number;
  /** Share of one processor while nothing happens. */
  readonly idleShare: number;
}

const idleMs = 3000;
const count = Number(process.argv[2]);
const setUp = hostSetup({ addresses: [Cidr.parse("172.16.0.1/32")] });
await using tunnel = await Tunnel.open({ name: "wg0", privateKey: new PrivateKey(new Uint8Array(32).fill(1)), setUp });
await setTimeout(500);
const before = residentBytes();
const began = performance.now();
for (let i = 0; i < count; i++) {
  const address = new IpAddress(Uint8Array.of(10, i >> 16, i >> 8, i));
  const key = new Uint8Array(32).fill(7);
  new DataView(key.buffer).setUint32(0, i);
  const endpoint = new Endpoint(address, 51_820);
  tunnel.addPeer({ publicKey: new PublicKey(key), endpoint, allowedIps: [new Cidr(address, 32)] });
}
const addedMs = performance.now() - began;
await setTimeout(500);
const grownBytes = residentBytes() - before;
const { user, system } = process.cpuUsage();
await setTimeout(idleMs);
const used = process.cpuUsage({ user, system });
const idleShare = (used.user + used.system) / 1000 / idleMs;
console.log(JSON.stringify({ addedMs, grownBytes, idleShare } satisfies ScaleReport));

function residentBytes(): number {
  return 1024 * Number(/VmRSS:\s*([0-9]+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}
