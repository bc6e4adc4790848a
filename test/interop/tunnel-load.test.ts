import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import { concatBytes, toHex } from "../../src/base/bytes.ts";
import { PrivateKey } from "../../src/base/keys.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { Initiation } from "../../src/wireguard/messages.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import type { Flood } from "./flood.ts";
import { Machine } from "./machine.ts";
import { slowdown } from "./patience.ts";
import { ping } from "./ping.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import type { ScaleReport } from "./tunnel-scale-program.ts";
import { type Side, TwoTunnels, until, within } from "./two-tunnels.ts";
import { endpointOf, Underlay } from "./underlay.ts";
import { WarrenProcess } from "./warren-process.ts";

const isReady = (t: TestContext) => requireNamespaces(t) && requireProgram(t, "ping", "iputils-ping") !== undefined;
const timeout = 60_000;
const port = 5905;
const program = (name: string) => fileURLToPath(new URL(name, import.meta.url));

test("ten thousand peers take less than 30 MB, and no time while they are idle", { timeout }, async (t) => {
  if (!requireNamespaces(t)) return;
  using host = new Machine();
  const command = [process.execPath, "--max-semi-space-size=2", program("./tunnel-scale-program.ts"), "10000"];
  const { addedMs, grownBytes, idleShare }: ScaleReport = JSON.parse(await host.run(...command));
  assert.ok(grownBytes < 30_000_000, `${grownBytes} bytes`);
  assert.ok(addedMs < 5000, `${addedMs} ms`);
  assert.ok(idleShare < 0.005, `${idleShare} of a processor`);
});

test("65,000 allowed IPs of one peer, and thousands of each of forty, take a moment", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  const { left } = tunnels;
  const at = (i: number) => new Cidr(new IpAddress(Uint8Array.of(10, 64 | (i >> 16), i >> 8, i)), 32);
  const many = Array.from({ length: 65_000 }, (_, i) => at(i));
  const peers = Array.from({ length: 40 }, () => publicKeyOf(new PrivateKey(randomBytes(32))));
  const began = performance.now();
  left.updatePeer(tunnels.keyOf("right"), { allowedIps: many });
  assert.equal([...left.peers()][0].allowedIps.length, many.length + 2);
  for (const [i, publicKey] of peers.entries()) {
    left.addPeer({ publicKey, allowedIps: many.slice(1600 * i, 1600 * (i + 1)) }); // taken from the first
  }
  const [first, ...others] = Array.from(left.peers(), (peer) => peer.allowedIps.length);
  assert.deepEqual([first, new Set(others)], [many.length + 2 - 40 * 1600, new Set([1600])]);
  for (const publicKey of peers) left.removePeer(publicKey);
  const elapsedMs = performance.now() - began;
  assert.ok(elapsedMs < 30 * 194, `${elapsedMs} ms for 194 thousand`);
  await tunnels.answers("left");
});

test("while junk handshakes come in, main has time for others", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  await tunnels.answers("left");
  const junk = concatBytes(Uint8Array.of(Initiation.type, 0, 0, 0), randomBytes(Initiation.size - 4));
  const order: Flood = {
    to: `192.0.2.1:${tunnels.left.port}`,
    groups: [{ hex: toHex(junk), count: 40_000, vary: Initiation.ephemeral }],
  };
  const flood = tunnels.underlay.right.start([process.execPath, program("./flood.ts")], JSON.stringify(order));
  const dropped = () => {
    const { "mac1-invalid": invalid = 0, "handshake-queue-full": full = 0 } = tunnels.left.status().drops;
    return invalid + full;
  };
  let isOver = false;
  const over = flood.line(/^\[/).then(() => {
    isOver = true;
  });
  const begun = performance.now();
  let worstGapMs = 0;
  let looks = 0;
  for (let last = performance.now(); !isOver; looks++) {
    await setTimeout(1);
    const now = performance.now();
    if (dropped() > 0) worstGapMs = Math.max(worstGapMs, now - last);
    last = now;
  }
  await over;
  assert.ok(dropped() > 1000, `${dropped()} arrived`);
  // Without turns for others the gap is as long as the flood. Other programs' turns are in it, too.
  const floodMs = performance.now() - begun;
  assert.ok(worstGapMs < floodMs / 3, `${looks} times in ${floodMs} ms, but once not for ${worstGapMs} ms`);
  await tunnels.answers("left");
});

test("a tunnel ends within a second though the network is full", { timeout }, async (t) => {
  if (!isReady(t) || requireProgram(t, "tc", "iproute2") === undefined) return;
  using underlay = new Underlay();
  const { left, right } = underlay;
  const keys = { left: new PrivateKey(randomBytes(32)), right: new PrivateKey(randomBytes(32)) };
  const configOf = (side: Side, other: Side) =>
    [
      "[Interface]",
      `PrivateKey = ${keys[side].reveal()}`,
      `Address = ${within[side][4]}/24`,
      `ListenPort = ${port}`,
      "[Peer]",
      `PublicKey = ${publicKeyOf(keys[other])}`,
      `AllowedIPs = ${within[other][4]}/32`,
      ...(side === "left" ? [`Endpoint = ${endpointOf(other, 4, port)}`] : []),
    ].join("\n");
  await WarrenProcess.start(right, "full-right", configOf("right", "left"));
  const warren = await WarrenProcess.start(left, "full-left", configOf("left", "right"));
  assert.equal((await ping(left, within.right[4])).received, 1);
  const shape = ["tbf", "rate", "8kbit", "burst", "3000", "limit", "100000000"];
  await left.run("tc", "qdisc", "add", "dev", "eth0", "root", ...shape);
  using sender = left.namespace.run(() => openUdpSockets({ port: 0 }));
  const sink = new Endpoint(IpAddress.parse(within.right[4]), 9);
  const bytes = new Uint8Array(1300);
  let last = -1;
  let looksWithout = 0; // progress
  await until("the worker can send no more", () => {
    const waiting = sendQueue(left, port);
    looksWithout = waiting > 1_000_000 && waiting === last ? looksWithout + 1 : 0;
    last = waiting;
    for (let i = 0; i < 400; i++) sendDatagram(sender, bytes, sink);
    return looksWithout === 10;
  });
  const mostMs = 1000 * slowdown();
  const end = await warren.stop();
  assert.ok(end.elapsedMs < mostMs, `it took ${end.elapsedMs} ms, not ${mostMs}`);
  assert.deepEqual([end.code, end.stderr, left.config.links.find(warren.name)], [0, "", undefined]);
});

/** Bytes that a UDP socket has handed to the network and that have not left yet, by the kernel's own reckoning. */
function sendQueue(host: Machine, port: number): number {
  const line = host.proc("net/udp").match(new RegExp(`:${port.toString(16).toUpperCase()} [^\\n]* ([0-9A-F]{8}):`));
  return Number.parseInt(line?.[1] ?? "0", 16);
}
