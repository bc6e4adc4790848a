/** Configurations that no single message holds, through `wg` and through a socket that gives one byte at a time. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { Machine } from "./machine.ts";
import { keyPair, UserspaceWireguard, wg } from "./userspace-wireguard.ts";
import { WarrenWgPair } from "./warren-wg-pair.ts";

const timeout = 120_000;
const isReady = (t: TestContext) => requireNamespaces(t) && requireProgram(t, "wg", "wireguard-tools") !== undefined;

/** A public key that nobody has the private one to. */
function strangerKey(number: number): string {
  const key = Buffer.alloc(32, 9);
  key.writeUInt32BE(number, 20);
  return key.toString("base64");
}

const interfaceLines = ["[Interface]", `PrivateKey = ${keyPair(1).secret}`];

/** What each peer has, by the number of its allowed IPs. */
async function countAllowedIps(tunnel: UserspaceWireguard): Promise<number[]> {
  const lines = (await tunnel.show("allowed-ips")).trim().split("\n");
  return lines.map((line) => line.split(/\s/).length - 1);
}

test("one peer has 130,560 allowed IPs, forty have four thousand each", { timeout }, async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  using tunnel = await UserspaceWireguard.start(host);
  const one = [...interfaceLines, "[Peer]", `PublicKey = ${strangerKey(1)}`];
  for (let a = 1; a < 256; a++) {
    for (let b = 0; b < 256; b++) one.push(`AllowedIPs = ${a}.${b}.0.0/16, ${a}::${b}/128`);
  }
  const begun = performance.now();
  await wg(host, ["setconf", tunnel.name, "/dev/stdin"], `${one.join("\n")}\n`);
  const elapsedMs = performance.now() - begun;
  assert.deepEqual(await countAllowedIps(tunnel), [130_560]);
  assert.ok(elapsedMs < 130_560 / 4, `${Math.round(elapsedMs)} ms`); // a quarter of a second for each thousand
  t.diagnostic(`130,560 allowed IPs: ${Math.round(elapsedMs)} ms`);

  const forty = [...interfaceLines];
  for (let peer = 0; peer < 40; peer++) {
    forty.push("[Peer]", `PublicKey = ${strangerKey(peer)}`);
    for (let i = 0; i < 4000; i++) forty.push(`AllowedIPs = 10.${peer}.${i >> 4}.${(i & 15) << 4}/28`);
  }
  await wg(host, ["setconf", tunnel.name, "/dev/stdin"], `${forty.join("\n")}\n`);
  assert.deepEqual(await countAllowedIps(tunnel), Array(40).fill(4000));
});

test("ten thousand peers are there within five seconds, and one of them shakes hands", { timeout }, async (t) => {
  if (!isReady(t) || requireProgram(t, "ping", "iputils-ping") === undefined) return;
  using first = new Machine();
  using second = new Machine();
  first.cable("eth0", ["10.0.0.1/24"], { host: second, name: "eth0", addresses: ["10.0.0.2/24"] });
  using pair = await WarrenWgPair.open({ first, second });
  const lines: string[] = [];
  for (let i = 0; i < 10_000; i++) {
    lines.push("[Peer]", `PublicKey = ${strangerKey(i)}`, `AllowedIPs = 10.${1 + (i >> 8)}.${i & 255}.1/32`);
    lines.push(`Endpoint = 10.0.0.2:${1 + i}`, "PersistentKeepalive = 25");
  }
  const begun = performance.now();
  await wg(first, ["addconf", pair.first.name, "/dev/stdin"], `${lines.join("\n")}\n`);
  const elapsedMs = performance.now() - begun;
  assert.ok(elapsedMs < 5000, `${Math.round(elapsedMs)} ms`);
  t.diagnostic(`10,000 peers: ${Math.round(elapsedMs)} ms`);
  assert.equal((await pair.first.show("peers")).trim().split("\n").length, 10_001);
  await pair.setPeer("second", "endpoint", "10.0.0.1:10000");
  await pair.reach("second", 4);
  await pair.reach("first", 6);
  // All of them go again, and the one that is kept keeps its session.
  const [kept] = (await pair.second.show("public-key")).trim().split("\n");
  const allowed = "192.168.241.2/32, fd00::2/128";
  const psk = (await pair.first.show("preshared-keys"))
    .split("\n")
    .find((line) => line.startsWith(kept))
    ?.split("\t")[1];
  const secret = (await pair.first.show("private-key")).trim();
  const rest = `[Interface]\nPrivateKey = ${secret}\nListenPort = 10000\n[Peer]\nPublicKey = ${kept}\nPresharedKey = ${psk}\nAllowedIPs = ${allowed}\n`;
  const handshake = await pair.second.show("latest-handshakes");
  await wg(first, ["syncconf", pair.first.name, "/dev/stdin"], rest);
  assert.equal((await pair.first.show("peers")).trim(), kept);
  await pair.reach("second", 4);
  assert.equal(await pair.second.show("latest-handshakes"), handshake);
});

test("an operation that comes byte by byte is one operation", { timeout }, async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  using tunnel = await UserspaceWireguard.start(host);
  const client = connect(`/var/run/wireguard/${tunnel.name}.sock`);
  const key = Buffer.from(strangerKey(1), "base64").toString("hex");
  const sentence = `set=1\nlisten_port=4010\npublic_key=${key}\nallowed_ip=10.0.0.0/8\n\nget=1\n\n`;
  for (const byte of sentence) await new Promise((written) => client.write(byte, written));
  client.end();
  assert.match(
    await text(client),
    /^errno=0\n\nlisten_port=4010\npublic_key=.*\nallowed_ip=10\.0\.0\.0\/8\nerrno=0\n\n$/s,
  );
});
