import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { Machine } from "./machine.ts";
import { ping } from "./ping.ts";
import { keyPair, UserspaceWireguard, uniqueName, wg } from "./userspace-wireguard.ts";
import { WarrenProcess, warrenCommand } from "./warren-process.ts";

const timeout = 60_000;
const isReady = (t: TestContext) =>
  requireNamespaces(t) &&
  requireProgram(t, "wg", "wireguard-tools") !== undefined &&
  requireProgram(t, "wireguard-go", "wireguard-go") !== undefined &&
  requireProgram(t, "ping", "iputils-ping") !== undefined;

const [us, them] = [keyPair(0x71), keyPair(0x72)];
const psk = keyPair(0x73).secret;
const show = (host: Machine, ...words: string[]) => host.run(...warrenCommand([], "show", ...words));

test("warren show says of wireguard-go what wg says", { timeout }, async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  using tunnel = await UserspaceWireguard.start(host, "wireguard-go");
  await tunnel.set(["private-key", "/dev/stdin", "listen-port", "4020", "fwmark", "0x20"], us.secret);
  const words = ["endpoint", "192.0.2.1:9", "persistent-keepalive", "1", "allowed-ips", "10.0.0.0/8,fd00::/8"];
  await tunnel.set(["peer", them.public, "preshared-key", "/dev/stdin", ...words], psk);
  await tunnel.set(["peer", us.public.replace(/^./, "B")]);
  const parts = (text: string) => text.trim().split("\n\n").sort(); // peers come in no certain order
  assert.deepEqual(parts(await show(host, tunnel.name)), parts(await tunnel.show()));
  const [found] = JSON.parse(await show(host, tunnel.name, "--json"));
  assert.equal(found.warren, null);
  assert.equal(found.mark, 0x20);
});

test("wg and warren show see what warren up and warren-wg have up, with what they drop", { timeout }, async (t) => {
  if (!isReady(t)) return;
  using first = new Machine();
  using second = new Machine();
  first.cable("eth0", ["192.0.2.1/24"], { host: second, name: "eth0", addresses: ["192.0.2.2/24"] });
  const name = uniqueName();
  const lines = [
    "[Interface]",
    `PrivateKey = ${us.secret}`,
    "ListenPort = 4021",
    "Address = 10.7.0.1/24",
    "MTU = 1400",
  ];
  const peer = ["[Peer]", `PublicKey = ${them.public}`, `PresharedKey = ${psk}`, "AllowedIPs = 10.7.0.2/32"];
  const up = await WarrenProcess.start(first, name, [...lines, ...peer].join("\n"));
  using other = await UserspaceWireguard.start(second);
  await other.set(["private-key", "/dev/stdin"], them.secret);
  const words = ["endpoint", "192.0.2.1:4021", "allowed-ips", "10.7.0.0/24", "persistent-keepalive", "25"];
  await other.set(["peer", us.public, "preshared-key", "/dev/stdin", ...words], psk);
  second.setUp(other.name, "10.7.0.2/24", "10.7.0.3/32");
  assert.equal((await ping(second, "10.7.0.1")).received, 1);
  assert.equal((await ping(second, "10.7.0.1", { source: "10.7.0.3", patienceSeconds: 1 })).received, 0);

  const shown: Record<string, unknown>[] = JSON.parse(await show(first, "--json"));
  const both = [name, other.name].map((wanted) => shown.find((tunnel) => tunnel.name === wanted));
  const [{ peers, warren, ...rest }, beyond] = both.map((tunnel) => tunnel ?? assert.fail("it is not shown"));
  assert.deepEqual(rest, { name, publicKey: us.public, listenPort: 4021, mark: 0 });
  const { pid, drops, mtu } = warren as { pid: number; drops: object; mtu: number };
  assert.deepEqual([drops, mtu], [{ "packet-wrong-source": 1 }, 1400]);
  assert.ok(existsSync(`/proc/${pid}`));
  const [{ latestHandshakeAt, receivedBytes, sentBytes, ...known }] = peers as Record<string, unknown>[];
  const settings = {
    unansweredInitiations: 0,
    hasPresharedKey: true,
    persistentKeepaliveSeconds: 0,
    allowedIps: ["10.7.0.2/32"],
    carriedBy: null,
    paths: null,
  };
  assert.deepEqual(
    Object.entries(known).sort(),
    Object.entries({
      publicKey: them.public,
      endpoint: `192.0.2.2:${await other.show("listen-port").then(Number)}`,
      ...settings,
    }).sort(),
  );
  assert.ok(Math.abs(Date.parse(String(latestHandshakeAt)) - Date.now()) < 30_000);
  assert.ok(Number(receivedBytes) > 200 && Number(sentBytes) > 100);
  assert.equal(beyond.publicKey, them.public);

  const text = await show(first, name);
  assert.match(text, /\n {2}dropped: 1 packet-wrong-source\n/);
  assert.match(text, /\n {2}latest handshake: (now|[0-9]+ seconds? ago)\n/);
  for (const secret of [us.secret, psk, Buffer.from(psk, "base64").toString("hex")]) assert.ok(!text.includes(secret));
  const transfer = /\n {2}transfer: .* received, .* sent\n/;
  assert.equal(transfer.exec(text)?.[0], transfer.exec(await wg(first, ["show", name]))?.[0]);
  await up.stop();
  assert.equal(existsSync(`/var/run/wireguard/${name}.sock`), false);
});

test("a tunnel that is not there is an error, and none at all is nothing", { timeout }, async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  const { code, stdout, stderr } = await host.start(warrenCommand([], "show", "nothere0")).outcome;
  assert.deepEqual([code, stdout, stderr], [1, "", "warren: there is no tunnel nothere0\n"]);
});
