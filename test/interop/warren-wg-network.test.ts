/**
 * What an operator does with `wg` and `ip` to tunnels that are up, after the scenarios of wireguard-go's tests/netns.sh:
 * interfaces in other namespaces than their sockets, roaming, crypto routing, NAT, source addresses that stick and let go.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { Machine } from "./machine.ts";
import { pingEach } from "./ping.ts";
import type { TransferReport } from "./transfer.ts";
import { keyPair } from "./userspace-wireguard.ts";
import { insideOf, WarrenWgPair } from "./warren-wg-pair.ts";

const timeout = 120_000;
const isReady = (t: TestContext) =>
  requireNamespaces(t) &&
  requireProgram(t, "wg", "wireguard-tools") !== undefined &&
  requireProgram(t, "ping", "iputils-ping") !== undefined;
const transferProgram = fileURLToPath(new URL("./transfer.ts", import.meta.url));

function machine(t: TestContext): Machine {
  const host = new Machine();
  t.after(() => host[Symbol.dispose]());
  return host;
}

/** Both programs and their sockets in one host, on its loopback; each interface in a host of its own. */
async function overLoopback(t: TestContext): Promise<{ pair: WarrenWgPair; hub: Machine }> {
  const hub = machine(t);
  const hosts = { first: machine(t), second: machine(t) };
  const pair = await WarrenWgPair.open(hosts, { first: hub, second: hub });
  t.after(() => pair[Symbol.dispose]());
  return { pair, hub };
}

/** Both ways at once over one TCP connection, and every byte as it was sent. */
async function transfer({ hosts }: WarrenWgPair, address: string): Promise<void> {
  const bytes = String(2_000_000);
  const program = [process.execPath, transferProgram];
  const server = hosts.second.start([...program, "serve", "5201", bytes]);
  await server.line(/listening/);
  const client = JSON.parse(await hosts.first.run(...program, "connect", address, "5201", bytes)) as TransferReport;
  const served = JSON.parse(await server.line(/^\{/)) as TransferReport;
  assert.deepEqual([client.sent, client.received], [served.received, served.sent]);
}

test("interfaces in other namespaces than their sockets carry all that fits them", { timeout }, async (t) => {
  if (!isReady(t)) return;
  const { pair } = await overLoopback(t);
  for (const [first, second] of [
    ["127.0.0.1:10000", "127.0.0.1:20000"],
    ["[::1]:10000", "[::1]:20000"],
  ]) {
    await pair.setPeer("first", "endpoint", second);
    await pair.setPeer("second", "endpoint", first);
    for (const mtu of [1420, 1280, 65_455]) {
      pair.setMtu(mtu);
      for (const family of [4, 6] as const) {
        await pair.reach("first", family);
        await pair.reach("second", family);
      }
      await pingEach(pair.hosts.first, insideOf.second[0], [mtu - 1, mtu]);
      await pingEach(pair.hosts.second, insideOf.first[1], [mtu - 1, mtu]);
      await transfer(pair, insideOf.second[mtu === 1280 ? 1 : 0]);
    }
  }
  const [, received, sent] = (await pair.second.show("transfer")).trim().split("\t").map(Number);
  assert.ok(received > 12_000_000 && sent > 12_000_000, `${received} received, ${sent} sent`);
  assert.ok(Math.abs(Number((await pair.second.show("latest-handshakes")).split("\t")[1]) - Date.now() / 1000) < 60);
});

test("an interface that was moved is still watched: down, up, and deleted", { timeout }, async (t) => {
  if (!isReady(t)) return;
  const { pair } = await overLoopback(t);
  await pair.setPeer("first", "endpoint", "127.0.0.1:20000");
  await pair.reach("first", 4);
  const { second: host } = pair.hosts;
  const index = host.indexOf(pair.second.name);
  host.config.links.set(index, { up: false });
  assert.equal(await pair.reaches("first", 4), false);
  host.config.links.set(index, { up: true });
  await pair.reach("second", 4); // its keys are gone, so it is the one that shakes hands at once
  await pair.reach("first", 4);
  host.config.links.delete(index);
  assert.equal((await pair.second.program.outcome).code, 0);
});

test("a peer that moves is followed, over IPv4 and IPv6", { timeout }, async (t) => {
  if (!isReady(t)) return;
  const { pair, hub } = await overLoopback(t);
  await pair.setPeer("first", "endpoint", "127.0.0.1:20000");
  await pair.reach("first", 4);
  assert.equal(await pair.endpointAt("second"), "127.0.0.1:10000");
  hub.config.addresses.remove(1, Cidr.parse("127.0.0.1/8"));
  hub.config.addresses.add(1, Cidr.parse("127.212.121.99/8"));
  await pair.first.set(["listen-port", "9999"]);
  await pair.setPeer("first", "endpoint", "127.0.0.1:20000");
  await pair.reach("first", 6);
  assert.equal(await pair.endpointAt("second"), "127.212.121.99:9999");
  await pair.reach("second", 6);
  await pair.first.set(["listen-port", "9998"]);
  await pair.setPeer("first", "endpoint", "[::1]:20000");
  await pair.reach("first", 4);
  assert.equal(await pair.endpointAt("second"), "[::1]:9998");
});

test("what a peer may not send is dropped, but where it sends from is learnt", { timeout }, async (t) => {
  if (!isReady(t)) return;
  const { pair } = await overLoopback(t);
  await pair.setPeer("first", "endpoint", "[::1]:20000");
  await pair.setPeer("first", "allowed-ips", "192.168.241.0/24");
  await pair.reach("first", 4);
  await pair.reach("second", 4);
  const stranger = keyPair(0x44).public;
  await pair.first.set(["peer", stranger, "allowed-ips", "192.168.241.2/32"]);
  await pair.second.set(["listen-port", "9997"]);
  assert.equal(await pair.reaches("second", 4), false);
  await pair.first.set(["peer", stranger, "remove"]);
  assert.equal(await pair.endpointAt("first"), "[::1]:9997");
  await pair.reach("second", 4);
});

test("a peer behind NAT stays reachable by its keepalives", { timeout }, async (t) => {
  if (!isReady(t) || requireProgram(t, "nft", "nftables") === undefined) return;
  const [first, router, second] = [machine(t), machine(t), machine(t)];
  router.cable("inside", ["192.168.1.1/24"], { host: first, name: "eth0", addresses: ["192.168.1.100/24"] });
  router.cable("outside", ["10.0.0.1/24"], { host: second, name: "eth0", addresses: ["10.0.0.100/24"] });
  first.config.routes.add({ destination: Cidr.parse("0.0.0.0/0"), via: IpAddress.parse("192.168.1.1") });
  const rules =
    "table ip nat { chain out { type nat hook postrouting priority 100; ip saddr 192.168.1.0/24 snat to 10.0.0.1; }; }";
  await router.run("nft", rules);
  router.namespace.run(() => {
    Sysctl.set("net/ipv4/ip_forward", 1);
    Sysctl.set("net/netfilter/nf_conntrack_udp_timeout", 2);
    Sysctl.set("net/netfilter/nf_conntrack_udp_timeout_stream", 2);
  });
  const pair = await WarrenWgPair.open({ first, second });
  t.after(() => pair[Symbol.dispose]());
  await pair.setPeer("first", "endpoint", "10.0.0.100:20000", "persistent-keepalive", "1");
  await pair.reach("first", 4);
  await pair.reach("second", 4);
  assert.equal(await pair.endpointAt("second"), "10.0.0.1:10000");
  await delay(3000); // longer than the router remembers: time itself is what is tested
  await pair.reach("second", 4);
  await pair.setPeer("first", "persistent-keepalive", "off");
  await delay(3500);
  assert.equal(await pair.reaches("second", 4), false, "the router does forget");
});

/** Two hosts on a cable, without addresses yet. */
async function overCable(t: TestContext): Promise<WarrenWgPair> {
  const hosts = { first: machine(t), second: machine(t) };
  hosts.first.cable("eth0", [], { host: hosts.second, name: "eth0", addresses: [] });
  hosts.first.namespace.run(() => Sysctl.set("net/ipv4/conf/eth0/promote_secondaries", 1));
  const pair = await WarrenWgPair.open(hosts);
  t.after(() => pair[Symbol.dispose]());
  return pair;
}

test("an address that goes away is not clung to", { timeout }, async (t) => {
  if (!isReady(t)) return;
  const pair = await overCable(t);
  const { first, second } = pair.hosts;
  first.setUp("eth0", "10.0.0.1/24", "fd00:aa::1/96");
  second.setUp("eth0", "10.0.0.2/24", "fd00:aa::2/96");
  const device = first.indexOf("eth0");
  for (const [endpoint, gone, next] of [
    ["10.0.0.2:20000", "10.0.0.1/24", "10.0.0.10/24"],
    ["[fd00:aa::2]:20000", "fd00:aa::1/96", "fd00:aa::10/96"],
  ]) {
    await pair.setPeer("first", "endpoint", endpoint);
    await pair.reach("first", 4);
    first.setUp("eth0", next);
    first.config.addresses.remove(device, Cidr.parse(gone));
    await pair.reach("first", 4);
    const [address] = next.split("/");
    assert.equal(await pair.endpointAt("second"), address.includes(":") ? `[${address}]:10000` : `${address}:10000`);
  }
});

test("the answer leaves from the address that was spoken to", { timeout }, async (t) => {
  if (!isReady(t)) return;
  const pair = await overCable(t);
  pair.hosts.first.setUp("eth0", "10.0.0.1/24", "10.0.0.2/24", "fd00:aa::1/96", "fd00:aa::2/96");
  pair.hosts.second.setUp("eth0", "10.0.0.3/24", "fd00:aa::3/96");
  for (const endpoint of ["10.0.0.1:10000", "[fd00:aa::1]:10000", "10.0.0.2:10000", "[fd00:aa::2]:10000"]) {
    await pair.setPeer("second", "endpoint", endpoint);
    await pair.reach("second", 4);
    assert.equal(await pair.endpointAt("second"), endpoint);
  }
});

test("an endpoint may be link-local, with the interface as its scope", { timeout }, async (t) => {
  if (!isReady(t)) return;
  const pair = await overCable(t);
  pair.hosts.first.setUp("eth0", "fe80::1/64");
  pair.hosts.second.setUp("eth0", "fe80::2/64");
  await pair.setPeer("first", "endpoint", "[fe80::2%eth0]:20000");
  assert.equal(await pair.endpointAt("first"), "[fe80::2%eth0]:20000");
  await pair.reach("first", 4);
  assert.match(await pair.endpointAt("second"), /^\[fe80::[0-9a-f:]+%eth0\]:10000$/);
  await pair.reach("second", 6);
});
