/**
 * WireGuard where UDP is blocked: two tunnels that know each other by nothing but a relay on their own machine.
 *
 *     left  warren up -> 127.0.0.1:51821 relay ===== tcp, tls, wss ===== relay -> 127.0.0.1:51820 warren up  right
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { PrivateKey } from "../../src/base/keys.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { serveIperf } from "./iperf-server.ts";
import type { Machine } from "./machine.ts";
import { slowdown } from "./patience.ts";
import { ping } from "./ping.ts";
import { CertificateFiles, RelayProcess } from "./relay-process.ts";
import { transferBothWays } from "./transfers.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import { Underlay } from "./underlay.ts";
import { WarrenProcess } from "./warren-process.ts";

const megabyte = 1_000_000;
const inside = { left: "10.8.0.1", right: "10.8.0.2" } as const;

interface Ends {
  readonly client: RelayProcess;
  readonly server: RelayProcess;
}

const streams: Readonly<Record<string, (underlay: Underlay, files: CertificateFiles) => Promise<Ends>>> = {
  tcp: (underlay, files) => join(underlay, files, "any://192.0.2.2:443", "tcp://192.0.2.2:443"),
  "tls, IPv6 outside": (underlay, files) =>
    join(underlay, files, "any://*:443", "tls://[2001:db8::2]:443", "--server-name", "localhost"),
  wss: (underlay, files) => {
    const secret = files.write("path", "/9a1c\n");
    return join(underlay, files, "any://192.0.2.2:443/9a1c", "wss://192.0.2.2/", ...["--path-file", secret]);
  },
};

async function join(
  { left, right }: Underlay,
  { cert, key }: CertificateFiles,
  listen: string,
  endpoint: string,
  ...more: string[]
): Promise<Ends> {
  const trust = endpoint.startsWith("tcp") ? [] : ["--ca", cert, "--server-name", "localhost"];
  const server = RelayProcess.start(right, listen, "udp://127.0.0.1:51820", "--cert", cert, "--key", key);
  const client = RelayProcess.start(left, "udp://127.0.0.1:51821", endpoint, ...trust, ...more);
  return { client: await client, server: await server };
}

/** Both tunnels, up. */
async function raise({ left, right }: Underlay): Promise<void> {
  const keys = { left: new PrivateKey(randomBytes(32)), right: new PrivateKey(randomBytes(32)) };
  const config = (own: "left" | "right", other: "left" | "right", port: number, ...peer: string[]) =>
    [
      ...["[Interface]", `PrivateKey = ${keys[own].reveal()}`, `ListenPort = ${port}`, `Address = ${inside[own]}/24`],
      ...["[Peer]", `PublicKey = ${publicKeyOf(keys[other])}`, `AllowedIPs = ${inside[other]}/32`, ...peer],
    ].join("\n");
  await Promise.all([
    WarrenProcess.start(left, "wg0", config("left", "right", 51_822, "Endpoint = 127.0.0.1:51821")),
    WarrenProcess.start(right, "wg0", config("right", "left", 51_820)),
  ]);
}

async function blockUdp(host: Machine): Promise<void> {
  const rule = "add rule inet block out oifname eth0 meta l4proto udp counter drop";
  for (const command of [
    "add table inet block",
    "add chain inet block out { type filter hook output priority 0 ; }",
    rule,
  ]) {
    await host.run("nft", ...command.split(" "));
  }
}

/** iperf3 from the left, forwards or backwards. It stops counting while the last bytes are still on their way. */
async function iperf(from: Machine, to: Machine, ...more: string[]): Promise<void> {
  const server = await serveIperf(to);
  const bytes = 10 * megabyte;
  const { end } = JSON.parse(
    await from.run("iperf3", "--client", inside.right, "--json", "--bytes", String(bytes), ...more),
  );
  await server.ended();
  assert.ok(end.sum_received.bytes >= bytes * 0.5, `${end.sum_received.bytes} of ${bytes} bytes arrived`);
}

function isReady(t: TestContext): boolean {
  const programs = [
    ["nft", "nftables"],
    ["iperf3", "iperf3"],
  ] as const;
  return requireNamespaces(t) && programs.every(([name, from]) => requireProgram(t, name, from) !== undefined);
}

describe("a tunnel through two relays", { concurrency: 1, timeout: 240_000 }, () => {
  for (const [name, connect] of Object.entries(streams)) {
    test(`over ${name}, with UDP blocked`, async (t) => {
      if (!isReady(t)) return;
      using underlay = new Underlay();
      using files = new CertificateFiles();
      await Promise.all([blockUdp(underlay.left), blockUdp(underlay.right)]);
      const { client, server } = await connect(underlay, files);
      await raise(underlay);
      const { sent, received, output } = await ping(underlay.left, inside.right, { count: 5, intervalSeconds: 0.1 });
      assert.equal(received, sent, output);
      await transferBothWays(underlay.left, underlay.right, inside.right);
      await iperf(underlay.left, underlay.right);
      await iperf(underlay.left, underlay.right, "--reverse");
      assert.match(await underlay.left.run("nft", "list", "table", "inet", "block"), /packets 0 /, "none tried UDP");
      const mostMs = 2000 * slowdown();
      const { code, report, stderr, elapsedMs } = await client.stop();
      assert.equal(code, 0, stderr);
      assert.equal(report.links, 1, "one connection sufficed");
      assert.ok(report.receivedDatagrams > 5000 && report.sentDatagrams > 5000);
      assert.ok(elapsedMs < mostMs, `it took ${elapsedMs} ms to end, not ${mostMs}`);
      assert.equal((await server.event("closed")).reason, "closed-there");
      assert.equal((await server.stop()).code, 0);
    });
  }
});
