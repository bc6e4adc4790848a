import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, Endpoint } from "../../src/base/address.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { libc } from "../../src/os/libc.ts";
import { LastingTable } from "../../src/os/nftables.ts";
import { PacketSocket } from "../../src/os/packet-socket.ts";
import { QuerySocket } from "../../src/os/query-socket.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { SystemError } from "../../src/os/system-error.ts";
import { connectTcp } from "../../src/os/tcp-socket.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { KillSwitch, type KillSwitchOptions, killSwitchTable } from "../../src/tunnel/kill-switch.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { awaitReadable } from "./datagrams.ts";
import { Machine } from "./machine.ts";
import { slowdown } from "./patience.ts";
import { type Host, SmallNetwork } from "./small-network.ts";

const mark = 51_820;
const name = "wg0";
/** A flood can be thin where the machine is busy. */
const floodMs = 60_000;
const install = (host: Host, options: Partial<KillSwitchOptions> = {}) =>
  host.namespace.run(() => KillSwitch.install(name, { mark, ...options }));
const captureAt = (host: Host, device: string) =>
  host.namespace.run(() => PacketSocket.open({ device: host.indexOf(device) }));

interface Attempt {
  readonly to: string;
  readonly port?: number;
  readonly fromPort?: number;
  readonly mark?: number;
}

/** Sends one datagram to each; what becomes of it, the capture tells. */
function sendAll(host: Host, attempts: readonly Attempt[]): void {
  for (const { to, port = 9, fromPort = 0, mark } of attempts) {
    const endpoint = Endpoint.parse(to.includes(":") ? `[${to}]:${port}` : `${to}:${port}`);
    using sockets = host.namespace.run(() =>
      openUdpSockets({ port: fromPort, offloads: "none", ...(mark === undefined ? {} : { mark }) }),
    );
    sendDatagram(sockets, new TextEncoder().encode(`to ${to} ${port}`), endpoint);
  }
}

/** The texts of datagrams that passed an interface, as `sendAll` wrote them; not of errors that quote one. */
function textsIn(capture: PacketSocket, way: "received" | "sent" = "received"): string[] {
  const packets = capture.drainPackets().filter(({ outgoing }) => outgoing === (way === "sent"));
  return packets.flatMap(({ bytes }) => /to [0-9a-f.:]+ [0-9]+$/.exec(latin1(bytes))?.[0] ?? []);
}

/** The same, of as many as are awaited: a neighbour may have to be found first. */
function awaitTexts(capture: PacketSocket, count: number, way: "received" | "sent" = "received"): string[] {
  const texts: string[] = [];
  while (texts.length < count) {
    awaitReadable(capture.fd);
    texts.push(...textsIn(capture, way));
  }
  return texts;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

test("nothing leaves outside but what is marked, DHCP and discovery", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home, router } = network;
  using outside = captureAt(router, "inside");
  install(home);
  sendAll(home, [
    { to: "10.2.0.2" },
    { to: "fd02::2" },
    { to: "10.1.0.1" }, // the gateway itself is of the local network
    { to: "fd01::1" },
    { to: "10.2.0.2", mark: mark + 1 },
    { to: "10.2.0.2", mark },
    { to: "fd02::2", mark },
    { to: "10.2.0.2", port: 67, fromPort: 68 },
    { to: "fd02::2", port: 547, fromPort: 546 },
    { to: "fd02::2", port: 67, fromPort: 68 },
    { to: "10.2.0.2", port: 547, fromPort: 546 },
    { to: "10.2.0.2", port: 67 },
  ]);
  assert.deepEqual(textsIn(outside), ["to 10.2.0.2 9", "to fd02::2 9", "to 10.2.0.2 67", "to fd02::2 547"]);
  assert.ok(home.namespace.run(() => KillSwitch.remove(name)));
  sendAll(home, [{ to: "10.2.0.2" }]);
  assert.deepEqual(textsIn(outside), ["to 10.2.0.2 9"]);
  assert.ok(!home.namespace.run(() => KillSwitch.remove(name)), "there was a second one");
});

test("warren's own questions pass, over UDP and TCP, and nobody else's do", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home, router } = network;
  using outside = captureAt(router, "inside");
  install(home);
  const server = Endpoint.parse("10.2.0.2:53");
  for (const own of [0, mark]) {
    using socket = home.namespace.run(() => QuerySocket.open(server, own));
    try {
      socket.send(new TextEncoder().encode("question"));
    } catch (error) {
      if (!(error instanceof SystemError)) throw error; // the kill switch has refused it
    }
    libc.close(home.namespace.run(() => connectTcp(server, own)));
  }
  const protocols = outside.drainPackets().flatMap(({ bytes, outgoing, protocol }) => {
    const isToServer = protocol === 0x0800 && !outgoing && bytes.subarray(16, 20).join(".") === "10.2.0.2";
    return isToServer ? bytes[9] : [];
  });
  assert.deepEqual(protocols, [17, 6], "one of each: those with the mark");
});

test("neighbours are found, and routers, although the kernel knew nobody before", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home, router } = network;
  install(home);
  using outside = captureAt(router, "inside");
  const eth0 = home.indexOf("eth0");
  home.namespace.run(() => Sysctl.set("net/ipv6/conf/eth0/accept_dad", 1));
  home.config.links.set(eth0, { up: false });
  home.config.links.set(eth0, { up: true }); // every neighbour is forgotten, and discovery begins anew
  home.config.addresses.add(eth0, Cidr.parse("fd01::3/64"));
  const types = new Set<number>();
  while (!(types.has(133) && types.has(135) && types.has(143))) {
    awaitReadable(outside.fd);
    for (const { bytes, protocol, outgoing } of outside.drainPackets()) {
      if (protocol !== 0x86dd || outgoing) continue;
      const isMld = bytes[6] === 0; // behind a hop-by-hop header of 8 bytes
      types.add(bytes[isMld ? 48 : 40]);
    }
  }
});

test("what goes into the tunnel and over loopback passes", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home, router } = network;
  router.cable("far", ["10.8.0.1/24", "fd08::1/64"], { host: home, name, addresses: ["10.8.0.2/24", "fd08::2/64"] });
  install(home);
  using inside = captureAt(router, "far");
  using loopback = captureAt(home, "lo");
  sendAll(home, [{ to: "10.8.0.1", mark: 1 }, { to: "127.0.0.1" }, { to: "::1" }, { to: "10.1.0.2" }]);
  assert.deepEqual(new Set(textsIn(loopback)), new Set(["to 127.0.0.1 9", "to ::1 9", "to 10.1.0.2 9"]));
  assert.deepEqual(awaitTexts(inside, 1), ["to 10.8.0.1 9"]);
});

test("the local network is open by choice only, and never for what the tunnel has taken of it", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home, router } = network;
  using outside = captureAt(router, "inside");
  const attempts = [
    { to: "10.1.0.1" },
    { to: "fd01::1" },
    { to: "10.2.0.2" },
    { to: "203.0.113.1" },
    { to: "2001:db8::1" },
    { to: "10.8.0.1" },
    { to: "fd08::1" },
    { to: "10.1.0.1", port: 53 },
  ];
  install(home, { lan: true });
  sendAll(home, attempts);
  assert.deepEqual(
    textsIn(outside),
    ["10.1.0.1 9", "fd01::1 9", "10.2.0.2 9", "10.8.0.1 9", "fd08::1 9", "10.1.0.1 53"].map((text) => `to ${text}`),
  );
  const inside = ["10.8.0.2/24", "fd08::2/64", "0.0.0.0/0", "::/0", "10.0.0.0/7"].map(Cidr.parse);
  install(home, { lan: true, inside, hasResolvers: true });
  sendAll(home, attempts);
  assert.deepEqual(textsIn(outside), ["to 10.1.0.1 9", "to fd01::1 9", "to 10.2.0.2 9"]);
});

test("nothing is forwarded past the tunnel for others", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home, router } = network;
  using outside = captureAt(router, "outside");
  const attempts = [{ to: "10.2.0.2" }, { to: "fd02::2" }];
  const expected = new Set(["to 10.2.0.2 9", "to fd02::2 9"]);
  sendAll(home, attempts);
  assert.deepEqual(new Set(awaitTexts(outside, 2, "sent")), expected);
  install(router);
  sendAll(home, [...attempts, { to: "10.2.0.2", mark }]);
  assert.deepEqual(textsIn(outside, "sent"), []);
  router.namespace.run(() => KillSwitch.install("outside", { mark })); // as if that were the tunnel
  router.namespace.run(() => KillSwitch.remove(name));
  sendAll(home, attempts);
  assert.deepEqual(new Set(textsIn(outside, "sent")), expected);
});

/** Sends as fast as it can to two addresses, whatever becomes of it, until it is killed. */
const flood = `
  const { createSocket } = require("node:dgram");
  for (const [type, address] of [["udp4", "10.2.0.2"], ["udp6", "fd02::2"]]) {
    const socket = createSocket(type);
    const next = () => socket.send("to leak 9", 9, address, () => setImmediate(next));
    next();
  }
  console.log("flooding");`;

test("one that is there is replaced without ever being open", { timeout: 240_000 }, async (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { router } = network;
  using home = new Machine();
  const far = { host: home, name: "eth0", addresses: ["10.3.0.2/24", "fd03::2/64"] };
  router.cable("third", ["10.3.0.1/24", "fd03::1/64"], far);
  for (const [destination, via] of [
    ["0.0.0.0/0", "10.3.0.1"],
    ["::/0", "fd03::1"],
  ]) {
    home.config.routes.add({ destination: Cidr.parse(destination), via: Endpoint.parse(bracket(via)).address });
  }
  using outside = captureAt(router, "third");
  const leaks = () => outside.drainPackets().filter(({ bytes }) => latin1(bytes).endsWith("to leak 9")).length;
  const sender = home.start([process.execPath, "-e", flood]);
  await sender.line(/flooding/);
  while (leaks() === 0) awaitReadable(outside.fd); // without a kill switch it gets out
  install(home);
  leaks();
  for (let times = 0; times < 100; times++)
    install(home, {
      mark: mark + times,
      lan: times % 2 === 0,
      inside: [Cidr.parse("10.2.0.0/24"), Cidr.parse("fd02::/64")],
    });
  assert.equal(leaks(), 0);
  // The same, not in one transaction: what this test would not miss.
  const table = killSwitchTable(name, { mark });
  let seen = 0;
  for (const begun = performance.now(); performance.now() - begun < floodMs && seen === 0; ) {
    home.namespace.run(() => {
      LastingTable.remove(table.name);
      LastingTable.install(table);
    });
    seen += leaks();
  }
  assert.ok(seen > 0, "the flood was too thin to show a leak");
});

test("who is refused is told so", async (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  using home = new Machine();
  network.router.cable("third", ["10.3.0.1/24"], { host: home, name: "eth0", addresses: ["10.3.0.2/24"] });
  install(home);
  const attempt = `require("node:net").connect(9, "10.3.0.1").on("error", ({ code }) => console.log(code))`;
  const began = performance.now();
  assert.match(await home.run(process.execPath, "-e", attempt), /^(EHOSTUNREACH|ECONNREFUSED|EACCES)$/m);
  assert.ok(performance.now() - began < 3000 * slowdown(), "it had to wait");
});

test("a kill switch without a mark is refused, since every packet has mark 0", () => {
  assert.throws(() => KillSwitch.install(name, { mark: 0 }), /needs a firewall mark/);
});

test("the table is as nft(8) shows it", async (t) => {
  if (!requireNamespaces(t) || requireProgram(t, "nft", "nftables") === undefined) return;
  using machine = new Machine();
  machine.namespace.run(() =>
    KillSwitch.install(name, { mark, lan: true, inside: [Cidr.parse("10.8.0.2/24")], hasResolvers: true }),
  );
  const rules = (await machine.run("nft", "--numeric", "list", "ruleset"))
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim()); // nft names the process that holds it
  const refused = "counter packets 0 bytes 0 reject with icmpx 3";
  for (const expected of [
    `table inet warren-kill-switch-${name} {`,
    "type filter hook output priority 0; policy drop;",
    "type filter hook forward priority 0; policy drop;",
    'oifname "lo" accept',
    "meta mark 0x0000ca6c accept",
    `oifname "${name}" accept`,
    `iifname "${name}" accept`,
    `ip daddr 10.8.0.0/24 ${refused}`,
    `udp dport 53 ${refused}`,
    `tcp dport 53 ${refused}`,
    "ip daddr 192.168.0.0/16 accept",
    "ip6 daddr fe80::/10 accept",
    refused,
  ]) {
    assert.ok(rules.includes(expected), `${expected}\nis not in\n${rules.join("\n")}`);
  }
});

function bracket(address: string): string {
  return address.includes(":") ? `[${address}]:0` : `${address}:0`;
}
