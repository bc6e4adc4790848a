import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { PacketSocket } from "../../src/os/packet-socket.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { Data, Initiation } from "../../src/wireguard/messages.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { isQuiet } from "./datagrams.ts";
import type { Machine } from "./machine.ts";
import { ping, pingEach } from "./ping.ts";
import { families, inside, publicKeyOf, TunnelPair } from "./tunnel-pair.ts";
import { endpointOf } from "./underlay.ts";
import { requireWireguardGo, wireguardGoPrograms } from "./wireguard-go.ts";

function isReady(t: TestContext, program: string): boolean {
  return (
    requireNamespaces(t) && requireWireguardGo(t, program) && requireProgram(t, "ping", "iputils-ping") !== undefined
  );
}

/** Takes a host's address on the cable away and gives it another. */
function move(host: Machine, from: string, to: string): void {
  const device = host.indexOf("eth0");
  host.config.addresses.remove(device, Cidr.parse(from)); // first: the kernel removes what was added after it, too
  host.config.addresses.add(device, Cidr.parse(to));
}

const captureAt = (host: Machine) => host.namespace.run(() => PacketSocket.open({ device: host.indexOf("eth0") }));

/** The UDP payloads among captured IPv4 packets. */
function payloads(capture: PacketSocket, direction: "in" | "out"): Uint8Array[] {
  return capture
    .drainPackets()
    .filter(({ bytes, outgoing }) => outgoing === (direction === "out") && bytes[0] === 0x45 && bytes[9] === 17)
    .map(({ bytes }) => bytes.subarray(28));
}

async function answers(from: Machine, to: string): Promise<void> {
  const { received, output } = await ping(from, to);
  assert.equal(received, 1, output);
}

describe("endpoints", { timeout: 240_000 }, () => {
  for (const program of wireguardGoPrograms) {
    test(`warren moves to another address, ${program} follows`, async (t) => {
      if (!isReady(t, program)) return;
      using pair = await TunnelPair.open({ program });
      await answers(pair.left, inside.right[4]);
      move(pair.left, "192.0.2.1/24", "192.0.2.3/24");
      await answers(pair.left, inside.right[4]);
      assert.equal(await pair.peer.get("endpoint"), "192.0.2.3:5001");
      await answers(pair.right, inside.left[6]);
    });

    test(`${program} moves to another address, warren follows`, async (t) => {
      if (!isReady(t, program)) return;
      using pair = await TunnelPair.open({ program, initiator: "wireguard-go" });
      await answers(pair.right, inside.left[4]);
      move(pair.right, "192.0.2.2/24", "192.0.2.4/24");
      // The wireguard-go of 2022 keeps to a source address that is gone until it is told where to send again.
      const warren = `public_key=${publicKeyOf(pair.keys.warren).hex}`;
      await pair.peer.set(warren, `endpoint=${endpointOf("left", 4, pair.warren.port)}`);
      const { received, output } = await ping(pair.right, inside.left[4], { count: 3, intervalSeconds: 0.1 });
      assert.equal(received, 3, output); // the answer to the first message from there goes there already
      await answers(pair.left, inside.right[6]);
      const { status } = await pair.warren.stop();
      assert.equal(status?.peers[0].endpoint, "192.0.2.4:5002");
    });
  }

  test("what is not authentic moves nobody", async (t) => {
    if (!isReady(t, "wireguard-go")) return;
    using pair = await TunnelPair.open({ program: "wireguard-go", initiator: "wireguard-go" });
    using capture = captureAt(pair.left);
    await answers(pair.right, inside.left[4]);
    const seen = payloads(capture, "in");
    const initiation = seen.find((message) => message[0] === Initiation.type) ?? assert.fail("no initiation was seen");
    const data = seen.findLast((message) => message[0] === Data.type) ?? assert.fail("no data was seen");
    const forged = data.slice();
    forged[Data.counter] += 100;

    const address = IpAddress.parse("192.0.2.66");
    pair.right.setUp("eth0", `${address}/24`);
    using attacker = pair.right.namespace.run(() => openUdpSockets({ port: 6666, v4Address: address }));
    for (const message of [data, forged, initiation]) {
      assert.equal(sendDatagram(attacker, message, endpointOf("left", 4, pair.warren.port)), 0);
    }
    for (const family of families) await answers(pair.left, inside.right[family]);
    assert.ok(isQuiet(attacker.v4), "nothing went to the attacker");
    const { status } = await pair.warren.stop();
    assert.equal(status?.peers[0].endpoint, "192.0.2.2:5002");
    assert.equal(status?.drops["message-replayed"], 1);
    assert.equal(status?.drops["message-undecryptable"], 1);
    assert.equal(status?.drops["handshake-replayed"], 1);
  });
});

describe("what may pass", { timeout: 240_000 }, () => {
  test("a peer may not use addresses that are not its own", async (t) => {
    if (!isReady(t, "wireguard-go")) return;
    using pair = await TunnelPair.open({ program: "wireguard-go" });
    await answers(pair.left, inside.right[4]);
    const spoofed = { 4: "10.8.0.77", 6: "fd08::77" } as const;
    pair.right.setUp(pair.peer.name, `${spoofed[4]}/24`, `${spoofed[6]}/64`);
    for (const family of families) {
      const report = await ping(pair.right, inside.left[family], { source: spoofed[family], patienceSeconds: 0.2 });
      assert.deepEqual([report.sent, report.received], [1, 0]);
    }
    await answers(pair.right, inside.left[4]);
    const { status } = await pair.warren.stop();
    assert.equal(status?.drops["packet-wrong-source"], 2);
  });

  test("a packet for nobody is dropped and counted", async (t) => {
    if (!isReady(t, "wireguard-go")) return;
    using pair = await TunnelPair.open({ program: "wireguard-go" });
    const before = 3;
    const report = await ping(pair.left, "10.8.0.99", { count: before, intervalSeconds: 0.01, patienceSeconds: 0.2 });
    assert.equal(report.received, 0);
    const { status } = await pair.warren.stop();
    assert.ok((status?.drops["packet-no-peer"] ?? 0) >= before);
  });

  test("padding goes to the MTU and no further, also when the MTU changes under way", async (t) => {
    if (!isReady(t, "wireguard-go")) return;
    using pair = await TunnelPair.open({ program: "wireguard-go" });
    using capture = captureAt(pair.left);
    const sizes = async (lengths: readonly number[]) => {
      await pingEach(pair.left, inside.right[4], lengths);
      return payloads(capture, "out")
        .filter((message) => message[0] === Data.type && message.length > 1000)
        .map((message) => message.length - Data.overhead);
    };
    assert.deepEqual(await sizes([1405, 1408, 1409, 1420]), [1408, 1408, 1420, 1420]);
    pair.left.config.links.set(pair.left.indexOf("wg0"), { mtu: 1393 });
    while ((await sizes([1393]))[0] !== 1393); // the kernel tells the tunnel of it
    assert.deepEqual(await sizes([1376, 1377, 1393]), [1376, 1392, 1393]);
  });
});
