/**
 * A tunnel that lasts, between `home` and a wireguard-go on `server`, with its kill switch in place, so that what leaves
 * bears the mark. Two ways lead from the one to the other, and behind them lie the server's addresses:
 *
 *     home  10.1.0.2 eth0 ------ eth0 10.1.0.1  server  203.0.113.1, a name server at 203.0.113.53
 *           10.2.0.2 eth1 ------ eth1 10.2.0.1
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { PrivateKey } from "../../src/base/keys.ts";
import { PacketSocket } from "../../src/os/packet-socket.ts";
import { Initiation } from "../../src/wireguard/messages.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import type { LastingTunnelSettings } from "./lasting-tunnel.ts";
import { Machine, type Program } from "./machine.ts";
import { ping } from "./ping.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import { requireWireguardGo, WireguardGo } from "./wireguard-go.ts";

const program = "wireguard-go";
const host = "vpn.example.org";
const mark = 51_820;
const port = 51_820;
const everywhere = Cidr.parse("0.0.0.0/0");
const path = (file: string) => fileURLToPath(new URL(file, import.meta.url));

let made = 0;

class World implements Disposable {
  readonly home: Machine;
  readonly server: Machine;
  readonly keys = { home: new PrivateKey(randomBytes(32)), server: new PrivateKey(randomBytes(32)) };
  readonly #undo: DisposableStack;
  readonly #interface = `lt${process.pid}n${made++}`; // control sockets of all namespaces lie in one folder

  constructor() {
    using undo = new DisposableStack();
    this.home = undo.use(new Machine());
    this.server = undo.use(new Machine());
    for (const [name, network] of [
      ["eth0", "10.1.0"],
      ["eth1", "10.2.0"],
    ]) {
      const peerNamespace = this.server.namespace.fd;
      this.home.config.links.createVeth({ name, peerName: name, peerNamespace });
      this.home.setUp(name, `${network}.2/24`);
      this.server.setUp(name, `${network}.1/24`);
    }
    this.server.setUp("lo", "203.0.113.1/32", "203.0.113.53/32");
    this.home.config.routes.add({ destination: everywhere, via: IpAddress.parse("10.1.0.1") });
    this.#undo = undo.move();
  }

  /** What the server knows of its peer. */
  get settings(): string[] {
    return [`public_key=${publicKeyOf(this.keys.home).hex}`, "allowed_ip=10.8.0.2/32"];
  }

  /** The server's wireguard-go, ready to be spoken to. */
  async serve(): Promise<WireguardGo> {
    const key = Buffer.from(this.keys.server.bytes).toString("hex");
    const settings = [`private_key=${key}`, `listen_port=${port}`, ...this.settings];
    const peer = this.#undo.use(await WireguardGo.start(this.server, program, this.#interface, settings));
    this.server.setUp(this.#interface, "10.8.0.1/24");
    return peer;
  }

  async nameServer(): Promise<Program> {
    const server = this.server.start([process.execPath, path("./name-server.ts"), "203.0.113.53", host]);
    await server.line(/listening/);
    server.write("203.0.113.1");
    await server.line(/is at/);
    return server;
  }

  async tunnel(): Promise<Program> {
    const settings: LastingTunnelSettings = {
      privateKey: this.keys.home.reveal(),
      address: "10.8.0.2/32",
      mark,
      peer: {
        publicKey: String(publicKeyOf(this.keys.server)),
        endpoint: `203.0.113.1:${port}`,
        allowedIp: "10.8.0.1/32",
      },
      host,
      resolver: "203.0.113.53:53",
    };
    const tunnel = this.home.start([process.execPath, path("./lasting-tunnel.ts"), JSON.stringify(settings)]);
    await tunnel.line(/^ready$/);
    assert.equal((await ping(this.home, "10.8.0.1")).received, 1, "the tunnel carries nothing");
    return tunnel;
  }

  [Symbol.dispose](): void {
    this.#undo.dispose();
  }
}

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) && requireWireguardGo(t, program) && requireProgram(t, "ping", "iputils-ping") !== undefined
  );
}

/** Pings once a half second until an answer comes, and says how long that took. */
async function secondsUntilAnswer(from: Machine, address: string): Promise<number> {
  const began = performance.now();
  const pings = from.start(["ping", "-n", "-i", "0.5", address]);
  await pings.line(/bytes from/);
  pings.kill("SIGINT");
  return (performance.now() - began) / 1000;
}

/** Waits for an initiation to arrive at the server's side of a cable, and returns its source and how long it took. */
async function nextInitiation(world: World, device: string, act: () => void): Promise<{ source: string; ms: number }> {
  using capture = world.server.namespace.run(() => PacketSocket.open({ device: world.server.indexOf(device) }));
  const began = performance.now();
  const { promise, resolve } = Promise.withResolvers<string>();
  using _listening = capture.onPackets((packets) => {
    for (const { bytes, outgoing } of packets) {
      const isUdp = bytes[0] === 0x45 && bytes[9] === 17;
      if (isUdp && !outgoing && bytes.length === 28 + Initiation.size && bytes[28] === Initiation.type)
        resolve(bytes.subarray(12, 16).join("."));
    }
  });
  act();
  return { source: await promise, ms: performance.now() - began };
}

/** A look each second, and a second more where the last handshake is younger than one. */
const soonMs = 2500;

describe("a tunnel that lasts", { timeout: 120_000, concurrency: true }, () => {
  test("finds a server that has moved by its name", async (t) => {
    if (!isReady(t)) return;
    using world = new World();
    await world.serve();
    const names = await world.nameServer();
    const tunnel = await world.tunnel();
    const lo = world.server.indexOf("lo");
    world.server.config.addresses.add(lo, Cidr.parse("203.0.113.9/32"));
    world.server.config.addresses.remove(lo, Cidr.parse("203.0.113.1/32"));
    names.write("203.0.113.9");
    await names.line(/is at 203.0.113.9/);
    const seconds = await secondsUntilAnswer(world.home, "10.8.0.1");
    assert.ok(seconds > 5, "the server was not away");
    assert.ok(seconds < 20, `it took ${seconds} s`);
    t.diagnostic(`reconnected after ${seconds.toFixed(1)} s`);
    await tunnel.line(/is now at 203.0.113.9:51820/);
  });

  test("finds a server again that has forgotten it", async (t) => {
    if (!isReady(t)) return;
    using world = new World();
    const peer = await world.serve();
    await world.tunnel();
    await peer.set("replace_peers=true", ...world.settings);
    const seconds = await secondsUntilAnswer(world.home, "10.8.0.1");
    assert.ok(seconds < 25, `it took ${seconds} s`);
    t.diagnostic(`reconnected after ${seconds.toFixed(1)} s`);
  });

  test("shakes hands when the machine wakes", async (t) => {
    if (!isReady(t)) return;
    using world = new World();
    await world.serve();
    const tunnel = await world.tunnel();
    const { ms } = await nextInitiation(world, "eth0", () => tunnel.write("suspend 60000"));
    assert.ok(ms < soonMs, `it took ${ms} ms`);
  });

  test("shakes hands when the default route changes", async (t) => {
    if (!isReady(t)) return;
    using world = new World();
    await world.serve();
    await world.tunnel();
    const { routes } = world.home.config;
    const { source, ms } = await nextInitiation(world, "eth1", () => {
      routes.remove({ destination: everywhere, via: IpAddress.parse("10.1.0.1") });
      routes.add({ destination: everywhere, via: IpAddress.parse("10.2.0.1") });
    });
    assert.equal(source, "10.2.0.2");
    assert.ok(ms < soonMs, `it took ${ms} ms`);
    assert.equal((await ping(world.home, "10.8.0.1")).received, 1);
  });

  test("shakes hands when its address changes", async (t) => {
    if (!isReady(t)) return;
    using world = new World();
    await world.serve();
    await world.tunnel();
    const { addresses, routes } = world.home.config;
    const device = world.home.indexOf("eth0");
    const { source, ms } = await nextInitiation(world, "eth0", () => {
      addresses.remove(device, Cidr.parse("10.1.0.2/24")); // and the default route with it
      addresses.add(device, Cidr.parse("10.1.0.3/24"));
      routes.add({ destination: everywhere, via: IpAddress.parse("10.1.0.1") });
    });
    assert.equal(source, "10.1.0.3");
    assert.ok(ms < soonMs, `it took ${ms} ms`);
    assert.equal((await ping(world.home, "10.8.0.1")).received, 1);
  });
});
