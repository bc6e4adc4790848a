/** A tunnel that lasts, with its kill switch in place, so that whatever leaves for it bears the mark. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { Initiation } from "../../src/wireguard/messages.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import type { LastingTunnelSettings } from "./lasting-tunnel.ts";
import type { Program } from "./machine.ts";
import { ping } from "./ping.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import {
  everywhere,
  secondsUntilAnswer,
  serverAddresses,
  serverName,
  serverPort,
  TwoWays,
  udpPayload,
} from "./two-ways.ts";
import { requireWireguardGo } from "./wireguard-go.ts";

const program = "wireguard-go";
/** A look each second, a second more where the last handshake is younger than one, and what a busy machine adds. */
const soonMs = 3500;
const patienceMs = 10_000;

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) && requireWireguardGo(t, program) && requireProgram(t, "ping", "iputils-ping") !== undefined
  );
}

async function openTunnel(world: TwoWays): Promise<Program> {
  const settings: LastingTunnelSettings = {
    privateKey: world.keys.home.reveal(),
    address: "10.8.0.2/32",
    mark: 51_820,
    peer: {
      publicKey: String(publicKeyOf(world.keys.server)),
      endpoint: `${serverAddresses[0]}:${serverPort}`,
      allowedIp: "10.8.0.1/32",
    },
    host: serverName,
    resolver: "203.0.113.53:53",
  };
  const path = fileURLToPath(new URL("./lasting-tunnel.ts", import.meta.url));
  const tunnel = world.home.start([process.execPath, path, JSON.stringify(settings)]);
  await tunnel.line(/^ready$/);
  assert.equal((await ping(world.home, "10.8.0.1")).received, 1, "the tunnel carries nothing");
  return tunnel;
}

/** Waits for an initiation at the server's end of a cable, and returns its source and how long it took to come. */
async function nextInitiation(
  world: TwoWays,
  device: string,
  act: () => void,
): Promise<{ readonly source: string; readonly ms: number }> {
  using capture = world.capture(device);
  const began = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  using _listening = capture.onPackets((packets) => {
    for (const packet of packets) {
      const message = udpPayload(packet, serverPort);
      if (message?.length === Initiation.size && message[0] === Initiation.type)
        resolve(packet.bytes.subarray(12, 16).join("."));
    }
  });
  act();
  const timer = setTimeout(reject, patienceMs, new Error(`no handshake within ${patienceMs} ms`));
  const source = await promise.finally(() => clearTimeout(timer));
  return { source, ms: performance.now() - began };
}

describe("a tunnel that lasts", { timeout: 240_000, concurrency: true }, () => {
  test("finds a server that has moved by its name", async (t) => {
    if (!isReady(t)) return;
    using world = new TwoWays();
    const peer = await world.serve(program);
    const names = await world.names();
    const tunnel = await openTunnel(world);
    await world.move(peer, names);
    const seconds = await secondsUntilAnswer(world.home, "10.8.0.1");
    assert.ok(seconds > 5, "the server was not away");
    assert.ok(seconds < 20, `it took ${seconds} s`);
    t.diagnostic(`reconnected after ${seconds.toFixed(1)} s`);
    await tunnel.line(/is now at 203.0.113.9:51820/);
  });

  test("finds a server again that has forgotten it", async (t) => {
    if (!isReady(t)) return;
    using world = new TwoWays();
    const peer = await world.serve(program);
    await openTunnel(world);
    await world.forget(peer);
    const seconds = await secondsUntilAnswer(world.home, "10.8.0.1");
    assert.ok(seconds < 25, `it took ${seconds} s`);
    t.diagnostic(`reconnected after ${seconds.toFixed(1)} s`);
  });

  test("shakes hands when the machine wakes", async (t) => {
    if (!isReady(t)) return;
    using world = new TwoWays();
    await world.serve(program);
    const tunnel = await openTunnel(world);
    const { ms } = await nextInitiation(world, "eth0", () => tunnel.write("suspend 60000"));
    assert.ok(ms < soonMs, `it took ${ms} ms`);
  });

  test("shakes hands when the default route changes", async (t) => {
    if (!isReady(t)) return;
    using world = new TwoWays();
    await world.serve(program);
    await openTunnel(world);
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
    using world = new TwoWays();
    await world.serve(program);
    await openTunnel(world);
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
