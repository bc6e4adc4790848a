import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { release } from "node:os";
import { test } from "node:test";
import { Cidr, Endpoint } from "../../src/base/address.ts";
import { VpnError } from "../../src/base/errors.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { gatewayTable, InstalledTable, LastingTable } from "../../src/os/nftables.ts";
import type { TableLayout } from "../../src/os/nftables-message.ts";
import { Action, Match } from "../../src/os/nftables-rule.ts";
import { PacketSocket } from "../../src/os/packet-socket.ts";
import { openUdpSockets, type UdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { isQuiet, receiveDatagram } from "./datagrams.ts";
import { Machine } from "./machine.ts";
import { type Host, SmallNetwork } from "./small-network.ts";

const port = 7000;
const v4 = Endpoint.parse(`10.2.0.2:${port}`);
const v6 = Endpoint.parse(`[fd02::2]:${port}`);
const insideTable = gatewayTable("warren", "inside", [Cidr.parse("10.1.0.0/24"), Cidr.parse("fd01::/64")]);

const install = (host: Host, table: TableLayout) => host.namespace.run(() => InstalledTable.install(table));
const openAt = (host: Host, at: number) => host.namespace.run(() => openUdpSockets({ port: at, offloads: "none" }));
const send = (sockets: UdpSockets, text: string, to: Endpoint) =>
  assert.equal(sendDatagram(sockets, new TextEncoder().encode(text), to), 0);
const v6Of = (sockets: UdpSockets) => sockets.v6 ?? assert.fail("this machine has no IPv6");

test("a gateway's table masquerades what leaves, and only that, for IPv4 and IPv6", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  using client = openAt(network.home, 0);
  using server = openAt(network.server, port);
  {
    using _table = install(network.router, insideTable);
    send(client, "hello", v4);
    const seen = receiveDatagram(server.v4);
    assert.equal(String(seen.source?.address), "10.2.0.1");
    send(client, "hello", v6);
    const seen6 = receiveDatagram(v6Of(server));
    assert.equal(String(seen6.source?.address), "fd02::1");

    // Without a route back, the answer arrives by the translation alone.
    send(server, "answer", seen.source ?? assert.fail());
    assert.deepEqual(
      [receiveDatagram(client.v4)].map(({ text, source }) => [text, String(source)]),
      [["answer", String(v4)]],
    );
    send(server, "answer", seen6.source ?? assert.fail());
    assert.equal(receiveDatagram(v6Of(client)).text, "answer");
  }
  using untranslated = openAt(network.home, 0);
  send(untranslated, "hello", v4);
  assert.equal(String(receiveDatagram(server.v4).source), `10.1.0.2:${untranslated.port}`);
});

test("sources that were not named keep their address", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  using client = openAt(network.home, 0);
  using server = openAt(network.server, port);
  using _table = install(network.router, gatewayTable("warren", "inside", [Cidr.parse("10.1.0.0/31")]));
  send(client, "hello", v4);
  assert.equal(String(receiveDatagram(server.v4).source?.address), "10.1.0.2");
});

test("a rule that drops lets nothing else be lost", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  using client = openAt(network.home, 0);
  using server = openAt(network.server, port);
  using other = openAt(network.server, port + 1);
  using capture = network.router.namespace.run(() => PacketSocket.open({ device: network.router.indexOf("inside") }));
  using _table = install(network.router, {
    name: "broken",
    chains: [
      {
        name: "forward",
        kind: "filter",
        hook: "forward",
        priority: -10,
        rules: [[...Match.destination(Cidr.parse("10.2.0.2/32")), ...Match.udpDestinationPort(port), Action.drop]],
      },
    ],
  });
  send(client, "lost", v4);
  send(client, "kept", new Endpoint(v4.address, port + 1));
  assert.equal(receiveDatagram(other.v4).text, "kept");
  const sent = capture.drainPackets().map(({ bytes }) => Buffer.from(bytes.subarray(28)).toString());
  assert.deepEqual(
    sent.filter((text) => text === "lost" || text === "kept"),
    ["lost", "kept"],
  );
  send(client, "again", new Endpoint(v4.address, port + 1));
  assert.equal(receiveDatagram(other.v4).text, "again");
  assert.ok(isQuiet(server.v4), "the dropped datagram arrived");
});

test("the table is as nft(8) shows it, and gone when it is disposed of", (t) => {
  if (!requireNamespaces(t)) return;
  const nft = requireProgram(t, "nft", "nftables");
  if (nft === undefined) return;
  using network = new SmallNetwork();
  const list = () => network.router.namespace.run(() => execFileSync(nft, ["list", "ruleset"], { encoding: "utf8" }));
  {
    using table = install(network.router, insideTable);
    assert.ok(table.owned || /flags/.test(list()) === false);
    const lines = list()
      .split("\n")
      .map((line) => line.trim());
    for (const expected of [
      "type filter hook forward priority filter; policy accept;",
      'iifname "inside" counter packets 0 bytes 0 accept',
      'oifname "inside" counter packets 0 bytes 0 accept',
      "type nat hook postrouting priority srcnat; policy accept;",
      'ip saddr 10.1.0.0/24 oifname != "inside" counter packets 0 bytes 0 masquerade',
      'ip6 saddr fd01::/64 oifname != "inside" counter packets 0 bytes 0 masquerade',
    ]) {
      assert.ok(lines.includes(expected), `${expected}\nis not in\n${lines.join("\n")}`);
    }
  }
  assert.equal(list(), "");
});

test("a table that was left behind is replaced, one that is in use is not", (t) => {
  if (!requireNamespaces(t)) return;
  const nft = requireProgram(t, "nft", "nftables");
  if (nft === undefined) return;
  using network = new SmallNetwork();
  const { router } = network;
  router.namespace.run(() => execFileSync(nft, ["add table inet warren; add chain inet warren leftover"]));
  using table = install(router, insideTable);
  const shown = router.namespace.run(() => execFileSync(nft, ["list", "ruleset"], { encoding: "utf8" }));
  assert.ok(!shown.includes("leftover") && shown.includes("masquerade"));
  if (!table.owned) return;
  assert.throws(
    () => install(router, insideTable),
    (error) =>
      error instanceof VpnError && error.code === "name-taken" && /a running process has this table/.test(error.line),
  );
});

test("a rule that the kernel refuses leaves no part of the table", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const chain = { name: "input", kind: "filter", hook: "input", priority: 0, rules: [[Action.masquerade]] } as const;
  assert.throws(
    () => install(network.router, { name: "warren", chains: [chain] }),
    (error) => error instanceof VpnError && /NFT_MSG_NEWTABLE for the table warren.*EOPNOTSUPP/.test(error.message),
  );
  using table = install(network.router, { name: "warren", chains: [] });
  assert.equal(table.name, "warren");
});

/** Installs the table "lasting" in a process of its own and says so, then waits to be killed. */
const nftables = new URL("../../src/os/nftables.ts", import.meta.url).href;
const installElsewhere = `
  import { LastingTable } from ${JSON.stringify(nftables)};
  LastingTable.install({ name: "lasting", chains: [] });
  console.log("installed");
  setInterval(() => undefined, 1000);`;

test("a lasting table is its process's alone, outlasts it, and is then taken over", async (t) => {
  if (!requireNamespaces(t) || requireProgram(t, "nft", "nftables") === undefined) return;
  using machine = new Machine();
  const list = () => machine.run("nft", "list", "ruleset");
  const table = { name: "lasting", chains: [] };
  const install = () => machine.namespace.run(() => LastingTable.install(table));
  const other = machine.start([process.execPath, "--input-type=module", "-e", installElsewhere]);
  await other.line(/installed/);
  const [major, minor] = release().split(".").map(Number);
  const isHeld = major > 6 || (major === 6 && minor >= 9);
  await machine.run("nft", "flush", "ruleset");
  assert.equal(/table inet lasting/.test(await list()), isHeld, "somebody else has flushed it");
  if (isHeld) assert.throws(install, (error) => error instanceof VpnError && error.code === "name-taken");
  other.kill("SIGKILL");
  await other.outcome;
  assert.equal(/table inet lasting/.test(await list()), isHeld);
  install();
  install(); // this process may, as often as it likes
  await machine.run("nft", "flush", "ruleset");
  assert.equal(/table inet lasting/.test(await list()), isHeld);
  assert.equal(
    machine.namespace.run(() => LastingTable.remove("lasting")),
    isHeld,
  );
  assert.equal(await list(), "");
});

test("without the kernel's help a lasting table outlasts its process as well", async (t) => {
  if (!requireNamespaces(t) || requireProgram(t, "nft", "nftables") === undefined) return;
  using machine = new Machine();
  const table = { name: "lasting", chains: [] };
  for (let times = 0; times < 2; times++) machine.namespace.run(() => LastingTable.installUnheld(table));
  assert.match(await machine.run("nft", "list", "ruleset"), /table inet lasting/);
  assert.ok(machine.namespace.run(() => LastingTable.remove("lasting")));
  assert.equal(await machine.run("nft", "list", "ruleset"), "");
});
