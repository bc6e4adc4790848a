import assert from "node:assert/strict";
import { once } from "node:events";
import { Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import { connectTcp } from "../../src/os/tcp-socket.ts";
import { openUdpSockets, sendDatagram } from "../../src/os/udp-socket.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import {
  addressesOf,
  classicPort,
  SeedProgram,
  serverAddress,
  startClient,
  startServer,
  tunnelOf,
} from "./classic-pair.ts";
import { Machine, type Program } from "./machine.ts";
import { ping } from "./ping.ts";
import type { TransferReport } from "./transfer.ts";
import { forwardingOf, Underlay } from "./underlay.ts";
import { warrenCommand } from "./warren-process.ts";

const transferProgram = [process.execPath, fileURLToPath(new URL("./transfer.ts", import.meta.url))];
const megabyte = 1_000_000;
const families = [4, 6] as const;
const oneLine = (text: string) => new RegExp(`^warren: [^\\n]*${text}[^\\n]*\\n$`);

function isReady(t: TestContext): boolean {
  return requireNamespaces(t) && requireProgram(t, "ping", "iputils-ping") !== undefined;
}

/** Ends a program and sees that it was orderly and quick. Returns what it had printed. */
async function stop(program: Program, signal: NodeJS.Signals = "SIGTERM"): Promise<string> {
  const begun = performance.now();
  program.kill(signal);
  const { code, stdout, stderr } = await program.outcome;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^warren classic: XOR with 0x42 hides nothing[^\n]*\n$/);
  const elapsedMs = performance.now() - begun;
  assert.ok(elapsedMs < 1000, `it took ${elapsedMs} ms`);
  return stdout;
}

/** Random bytes both ways over one connection from the left. Fails unless what arrives is what was sent. */
async function transfer({ left, right }: Underlay, address: string, bytes: number): Promise<void> {
  const server = right.start([...transferProgram, "serve", "7000", String(bytes)]);
  await server.line(/listening/);
  const client = left.start([...transferProgram, "connect", address, "7000", String(bytes)]);
  const [there, here]: TransferReport[] = await Promise.all(
    [server, client].map(async (program) => JSON.parse(await program.line(/^\{/))),
  );
  assert.deepEqual([there.receivedBytes, here.receivedBytes], [bytes, bytes]);
  assert.deepEqual([there.received, here.received], [here.sent, there.sent]);
}

function stateOf(host: Machine): unknown {
  const { links, routes } = host.config;
  return {
    links: links.list().map(({ name }) => name),
    routes: routes.list({ family: 4 }),
    forwarding: forwardingOf(host),
  };
}

/** A client of our own making: sends what it likes, already encoded. */
function connectRaw(host: Machine): Socket {
  const endpoint = new Endpoint(IpAddress.parse(serverAddress), classicPort);
  const socket = new Socket({ fd: host.namespace.run(() => connectTcp(endpoint)) });
  socket.on("error", () => undefined);
  socket.resume();
  return socket;
}

function encode(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ 0x42);
}

/** An IPv4 header from this address to the server's, and zeros. */
function packetFrom(source: string, length = 84): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x45, 0, length >> 8, length & 255, 0, 0, 0, 0, 64, 1, 0, 0]);
  bytes.set(IpAddress.parse(source).bytes, 12);
  bytes.set(IpAddress.parse(tunnelOf.server[4]).bytes, 16);
  return bytes;
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
    right.config.links.createVeth({ name: "eth1", peerName: "eth0", peerNamespace: far.namespace.fd });
    right.setUp("eth1", "203.0.113.1/24");
    far.setUp("eth0", "203.0.113.2/24"); // it has no route to the tunnel
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

describe("the server of classic, among bad clients", { concurrency: 1, timeout: 60_000 }, () => {
  const hostile: [what: string, bytes: Uint8Array, reason: string][] = [
    ["what is not IP", Uint8Array.of(0x16, 3, 1, 0, 200), "it sent what is not an IP packet"],
    ["a length that lies", Uint8Array.of(0x45, 0, 0, 19), "it sent a packet whose length cannot be true"],
    ["half a packet, and hangs up", packetFrom("10.8.0.9").subarray(0, 50), "it hung up in the middle of a packet"],
  ];

  test("closes each with a reason; another client notices nothing", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const { left, right } = underlay;
    const server = await startServer(right);
    await startClient(left, ...addressesOf("client"));
    const honest = ping(left, tunnelOf.server[4], { count: 40, intervalSeconds: 0.02 });
    for (const [what, bytes, reason] of hostile) {
      const socket = connectRaw(left);
      socket.end(what.includes("hangs up") ? encode(bytes) : encode(Buffer.concat([packetFrom("10.8.0.9"), bytes])));
      await server.line(new RegExp(`closed, ${reason}$`));
    }
    // Packets without end, of addresses without end: they are passed or dropped, and nothing is kept of them.
    const residentBefore = server.residentBytes;
    const flood = connectRaw(left);
    const packets = Array.from({ length: 64 }, (_, i) => packetFrom(`10.8.1.${i}`, 65_000));
    const chunk = encode(Buffer.concat(packets));
    for (let sent = 0; sent < 200 * megabyte; sent += chunk.length) {
      if (!flood.write(chunk)) await once(flood, "drain");
    }
    assert.ok(server.residentBytes - residentBefore < 16 * megabyte, `${residentBefore} to ${server.residentBytes}`);
    flood.destroy();
    assert.equal((await honest).received, 40);
    await stop(server);
  });

  test("refuses a second client with a taken address, naming both, and the first stays", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const { left, right } = underlay;
    const server = await startServer(right);
    await startClient(left, ...addressesOf("client"));
    assert.equal((await ping(left, tunnelOf.server[4])).received, 1);
    const second = connectRaw(left);
    const closed = once(second, "close");
    second.write(encode(packetFrom(tunnelOf.client[4])));
    await server.line(
      /^192\.0\.2\.1:\d+: refused, it claims the tunnel address 10\.8\.0\.2, which 192\.0\.2\.1:\d+ has$/,
    );
    await closed;
    assert.equal((await ping(left, tunnelOf.server[4])).received, 1);
    await stop(server);
  });

  test("drops what a client does not read, and serves the others", async (t) => {
    if (!isReady(t)) return;
    using underlay = new Underlay();
    const { left, right } = underlay;
    const server = await startServer(right);
    await startClient(left, ...addressesOf("client"));
    const slow = connectRaw(left);
    slow.pause();
    slow.write(encode(packetFrom("10.8.0.3")));
    await server.line(/has the tunnel address 10\.8\.0\.3$/);
    const residentBefore = server.residentBytes;
    using sockets = right.namespace.run(() => openUdpSockets({ port: 0 }));
    const unread = Endpoint.parse("10.8.0.3:9");
    for (let i = 0; i < 20_000; i++) {
      sendDatagram(sockets, new Uint8Array(1400), unread);
      if (i % 100 === 0) await nextTurn();
    }
    assert.equal((await ping(left, tunnelOf.server[4])).received, 1);
    assert.ok(server.residentBytes - residentBefore < 16 * megabyte);
    slow.destroy();
    await server.line(/: closed, .*; \d+ packets found its queue full$/);
    await stop(server);
  });
});

/** The seed's reader takes what one read gives for one packet, and loses what TCP has joined: what it receives is kept small. */
describe("the seed's program", { concurrency: 1, timeout: 120_000 }, () => {
  const slowTransfer = megabyte / 10;

  function isBuilt(t: TestContext): string | undefined {
    return isReady(t) ? requireProgram(t, "cc", "gcc") : undefined;
  }

  function configure(host: Machine, side: "client" | "server"): void {
    host.setUp("tun0", `${tunnelOf[side][4]}/24`, `${tunnelOf[side][6]}/64`);
  }

  test("as client of warren: ping and TCP", async (t) => {
    const compiler = isBuilt(t);
    if (compiler === undefined) return;
    using seed = new SeedProgram(compiler);
    using underlay = new Underlay();
    const server = await startServer(underlay.right);
    const peer = underlay.left.start([seed.path, "client", serverAddress, String(classicPort), "tun0"]);
    await peer.line(/ready/);
    configure(underlay.left, "client");
    for (const family of families) assert.equal((await ping(underlay.left, tunnelOf.server[family])).received, 1);
    await transfer(underlay, tunnelOf.server[4], slowTransfer);
    await stop(server);
  });

  test("as server of warren: ping and TCP", async (t) => {
    const compiler = isBuilt(t);
    if (compiler === undefined) return;
    using seed = new SeedProgram(compiler);
    using underlay = new Underlay();
    const peer = underlay.right.start([seed.path, "server", serverAddress, String(classicPort), "tun0"]);
    await peer.line(/listening/);
    const client = await startClient(underlay.left, ...addressesOf("client"));
    await peer.line(/ready/);
    configure(underlay.right, "server");
    for (const family of families) assert.equal((await ping(underlay.left, tunnelOf.server[family])).received, 1);
    await transfer(underlay, tunnelOf.server[4], slowTransfer);
    await stop(client);
  });
});
