import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { requireNamespaces } from "../requirements.ts";
import {
  addressesOf,
  families,
  isReady,
  megabyte,
  serverAddress,
  startClient,
  startServer,
  stop,
  transfer,
  tunnelOf,
} from "./classic-pair.ts";
import { Machine } from "./machine.ts";
import { ping } from "./ping.ts";
import { forwardingOf, Underlay } from "./underlay.ts";
import { warrenCommand } from "./warren-process.ts";

const oneLine = (text: string) => new RegExp(`^warren: [^\\n]*${text}[^\\n]*\\n$`);

function stateOf(host: Machine): unknown {
  const { links, routes } = host.config;
  return {
    links: links.list().map(({ name }) => name),
    routes: routes.list({ family: 4 }),
    forwarding: forwardingOf(host),
  };
}

describe("two warrens, classic", { concurrency: 1, timeout: 60_000 }, () => {
  test("ping and carry 10 MB each way, IPv4 and IPv6, print the seed's lines and leave nothing", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const before = [stateOf(underlay.left), stateOf(underlay.right)];
    const server = await startServer(underlay.right, "--verbose", "--nat");
    const client = await startClient(underlay.left, ...addressesOf("client"), "--verbose");
    assert.notDeepEqual([stateOf(underlay.left), stateOf(underlay.right)], before);
    for (const family of families) assert.equal((await ping(underlay.left, tunnelOf.server[family])).received, 1);
    const said = [await stop(client, "SIGINT"), await stop(server)];
    assert.match(said[0], /^\[TUN→SERVER\] Read 84 bytes from TUN, encrypting\.\.\.$/m);
    assert.match(said[0], /^\[SERVER→TUN\] Received 84 bytes, decrypting\.\.\.$/m);
    assert.match(said[1], /^\[CLIENT→TUN\] Received 84 bytes, decrypting\.\.\.$/m);
    assert.match(said[1], /^\[TUN→CLIENT\] Read 84 bytes from TUN, encrypting\.\.\.$/m);
    assert.match(said[1], /^192\.0\.2\.1:\d+: has the tunnel address 10\.8\.0\.2$/m);
    assert.doesNotMatch(said.join(), /\b28 bytes/, "the greeting is no packet: from it on there are no pauses");
    assert.deepEqual([stateOf(underlay.left), stateOf(underlay.right)], before);

    const again = await startServer(underlay.right);
    await startClient(underlay.left, ...addressesOf("client"));
    for (const family of families) {
      const begun = performance.now();
      await transfer(underlay, tunnelOf.server[family], 10 * megabyte);
      const seconds = (performance.now() - begun) / 1000;
      t.diagnostic(`IPv${family}: ${((2 * 80) / 1000 / seconds).toFixed(2)} Gbit/s, start of the programs included`);
    }
    await stop(again);
  });

  test("a lost connection is made again", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const server = await startServer(underlay.right);
    const client = await startClient(underlay.left, ...addressesOf("client"));
    await stop(server);
    await client.line(/trying again in (1\.0|0\.[789]) s/);
    await startServer(underlay.right);
    await client.line(/: connected$/);
    assert.equal((await ping(underlay.left, tunnelOf.server[4])).received, 1);
    await stop(client);
  });

  test("a default route goes through the tunnel, but not to the server; the server translates", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    using far = new Machine();
    const { left, right } = underlay;
    // The far host has no route to the tunnel.
    right.cable("eth1", ["203.0.113.1/24"], { host: far, name: "eth0", addresses: ["203.0.113.2/24"] });
    const former = { destination: Cidr.parse("0.0.0.0/0"), via: IpAddress.parse(serverAddress) };
    left.config.routes.add(former);
    const before = [stateOf(left), stateOf(right)];
    const server = await startServer(right, "--nat");
    const routes = ["--route", "0.0.0.0/0", "--route", "192.0.2.0/30"]; // the latter is longer than the cable's own
    const client = await startClient(left, ...addressesOf("client"), ...routes);
    const deviceTo = (address: string) => left.config.routes.lookup(IpAddress.parse(address))?.route.device;
    assert.equal(deviceTo("203.0.113.2"), left.indexOf("tun0"));
    assert.equal(deviceTo(serverAddress), left.indexOf("eth0"));
    assert.equal((await ping(left, "203.0.113.2")).received, 1);
    await stop(client);
    await stop(server);
    assert.deepEqual([stateOf(left), stateOf(right)], before);
  });

  for (const [server, code, complaint] of [
    ["nosuch.invalid", 1, 'warren: the host "nosuch.invalid" was not found'],
    ["no host", 2, 'warren: "no host" is not an address or a name'],
    ["300.1.1.1:5555", 2, 'warren: "300.1.1.1" is not an IP address'],
  ] as const) {
    test(`says why it cannot connect to ${server}`, async (t) => {
      if (!requireNamespaces(t)) return;
      using host = new Machine();
      const outcome = await host.start(warrenCommand([], "classic", "client", server)).outcome;
      assert.equal(outcome.code, code);
      assert.ok(outcome.stderr.startsWith(complaint), outcome.stderr);
    });
  }

  test("a server may be named", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const client = underlay.left.start(warrenCommand([], "classic", "client", "localhost:5556", "--tun", "tun0"));
    await client.line(/is up, connecting to TCP (127\.0\.0\.1|\[::1\]):5556/);
    await stop(client);
  });

  for (const listen of ["0.0.0.0:5555", "[::]:5555", serverAddress]) {
    test(`refuses to listen on ${listen}`, async (t) => {
      if (!requireNamespaces(t)) return;
      using underlay = new Underlay();
      const { right } = underlay;
      const { code, stderr } = await right.start(warrenCommand([], "classic", "server", "--listen", listen)).outcome;
      assert.equal(code, 1);
      assert.match(stderr.split("\n").slice(1).join("\n"), oneLine("--i-know-this-is-not-encryption"));
    });
  }
});
