/** `wg-quick up` and `down` with warren-wg where wireguard-go stood: the same state of the host, and nothing left of it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { Machine } from "./machine.ts";
import { ping } from "./ping.ts";
import { keyPair, UserspaceWireguard, uniqueName, warrenWg, wg } from "./userspace-wireguard.ts";

const timeout = 120_000;
const isReady = (t: TestContext) =>
  requireNamespaces(t) &&
  requireProgram(t, "wg-quick", "wireguard-tools") !== undefined &&
  requireProgram(t, "wireguard-go", "wireguard-go") !== undefined &&
  requireProgram(t, "ip", "iproute2") !== undefined &&
  requireProgram(t, "nft", "nftables") !== undefined &&
  requireProgram(t, "sysctl", "procps") !== undefined &&
  requireProgram(t, "ping", "iputils-ping") !== undefined;

const client = keyPair(0x61);
const server = keyPair(0x62);
const psk = keyPair(0x63).secret;

/** A server that has a little of the internet behind its tunnel. */
async function startServer(host: Machine): Promise<UserspaceWireguard> {
  const tunnel = await UserspaceWireguard.start(host);
  await tunnel.set(["private-key", "/dev/stdin", "listen-port", "51820"], server.secret);
  const allowed = "10.9.0.2/32,fd09::2/128";
  await tunnel.set(["peer", client.public, "preshared-key", "/dev/stdin", "allowed-ips", allowed], psk);
  host.setUp(tunnel.name, "10.9.0.1/24", "fd09::1/64");
  host.setUp("lo", "8.8.8.8/32", "2001:4860:4860::8888/128");
  return tunnel;
}

/** What wg-quick could change, but for what comes by chance: link-local addresses, and which port was free. */
async function stateOf(host: Machine, dns: string): Promise<string> {
  const look =
    "ip -o link; ip -o addr; ip -4 route show table all; ip -6 route show table all; ip rule; ip -6 rule; nft list ruleset";
  const text = await host.run("sh", "-c", look);
  const lines = text.split("\n").filter((line) => !/fe80:|link\/ether/.test(line));
  return [...lines, existsSync(dns) ? readFileSync(dns, "utf8") : "no name servers"].join("\n");
}

async function gone(path: string): Promise<void> {
  const watcher = watch(join(path, ".."));
  try {
    while (existsSync(path)) await once(watcher, "change");
  } finally {
    watcher.close();
  }
}

interface Run {
  readonly before: string;
  readonly up: string;
  readonly shown: string;
  readonly after: string;
}

/** One client of a fresh network, brought up and down by wg-quick over a userspace program. */
async function runQuick(t: TestContext, program: string, name: string, table: string): Promise<Run> {
  using host = new Machine();
  using other = new Machine();
  using undo = new DisposableStack();
  undo.defer(() => {
    const link = host.config.links.find(name);
    if (link !== undefined) host.config.links.delete(link.index); // ends the daemon of a test that failed
  });
  const far = { host: other, name: "eth0", addresses: ["10.0.0.2/24", "fd00::2/64"] };
  host.cable("eth0", ["10.0.0.1/24", "fd00::1/64"], far);
  host.config.routes.add({ destination: Cidr.parse("0.0.0.0/0"), via: IpAddress.parse("10.0.0.2") });
  using _server = await startServer(other);
  const folder = mkdtempSync(join(tmpdir(), "warren-quick-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const dns = join(folder, "name-servers");
  const isReal = existsSync("/usr/bin/resolvconf") || existsSync("/usr/sbin/resolvconf");
  writeFileSync(join(folder, "resolvconf"), `#!/bin/sh\ncase $1 in -a) cat >"${dns}" ;; -d) rm -f "${dns}" ;; esac\n`, {
    mode: 0o755,
  });
  const file = join(folder, `${name}.conf`);
  const lines = [
    "[Interface]",
    `PrivateKey = ${client.secret}`,
    "Address = 10.9.0.2/24, fd09::2/64",
    ...(isReal ? [] : ["DNS = 10.9.0.1, example.org"]),
    ...(table === "" ? [] : [`Table = ${table}`]),
    "[Peer]",
    `PublicKey = ${server.public}`,
    `PresharedKey = ${psk}`,
    "Endpoint = 10.0.0.2:51820",
    `AllowedIPs = ${table === "" ? "0.0.0.0/0, ::/0" : "8.8.8.8/32, 2001:4860:4860::/48, 10.9.0.0/24"}`,
  ];
  writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
  const quick = (verb: string) =>
    host.run(
      "env",
      `WG_QUICK_USERSPACE_IMPLEMENTATION=${program}`,
      `PATH=${process.env.PATH}:${folder}`,
      "wg-quick",
      verb,
      file,
    );
  const before = await stateOf(host, dns);
  await quick("up");
  const up = await stateOf(host, dns);
  // Into a table of its own no rule leads, unless the operator makes one.
  for (const address of ["10.9.0.1", ...(table === "" ? ["8.8.8.8", "2001:4860:4860::8888"] : [])]) {
    const { received, output } = await ping(host, address);
    assert.equal(received, 1, `${program}: ${output}`);
  }
  const shown = (await wg(host, ["showconf", name])).replace(/^ListenPort.*$/m, "");
  await quick("down");
  await gone(`/var/run/wireguard/${name}.sock`);
  return { before, up, shown, after: await stateOf(host, dns) };
}

for (const [what, table] of [
  ["everything through the tunnel", ""],
  ["some networks, by a table of their own", "1234"],
  ["no routes", "off"],
] as const) {
  test(`wg-quick brings warren-wg up and down as it does wireguard-go: ${what}`, { timeout }, async (t) => {
    if (!isReady(t)) return;
    const name = uniqueName();
    const ours = await runQuick(t, warrenWg, name, table);
    const theirs = await runQuick(t, "wireguard-go", name, table);
    assert.equal(ours.up, theirs.up);
    assert.equal(ours.shown, theirs.shown);
    assert.notEqual(ours.up, ours.before);
    assert.equal(ours.after, ours.before);
  });
}
