/**
 * `warren up --kill-switch` at home, with all traffic and DNS inside, and everything that leaves home seen by the server.
 */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { CapturedPacket, PacketSocket } from "../../src/os/packet-socket.ts";
import { messageType } from "../../src/wireguard/messages.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { awaitReadable } from "./datagrams.ts";
import type { Program } from "./machine.ts";
import { ManagedHost } from "./managed-host.ts";
import { ping } from "./ping.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import { outside, secondsUntilAnswer, serverName, serverPort, TwoWays, udpPayload } from "./two-ways.ts";
import { requireWireguardGo, type WireguardGo } from "./wireguard-go.ts";

const wireguardGo = "wireguard-go";

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) &&
    requireWireguardGo(t, wireguardGo) &&
    requireProgram(t, "ping", "iputils-ping") !== undefined &&
    requireProgram(t, "nft", "nftables") !== undefined
  );
}

interface Prepared {
  readonly world: TwoWays;
  readonly host: ManagedHost;
  readonly peer: WireguardGo;
  readonly names: Program;
}

/** A home that is set up as its operator wants it, and a server. */
async function prepare(undo: DisposableStack): Promise<Prepared> {
  const world = undo.use(new TwoWays());
  const host = undo.use(new ManagedHost(world.home));
  const peer = await world.serve(wireguardGo);
  const names = await world.names();
  host.configure(
    "wg0",
    [
      "[Interface]",
      `PrivateKey = ${world.keys.home.reveal()}`,
      "Address = 10.8.0.2/24",
      "DNS = 10.8.0.1",
      "[Peer]",
      `PublicKey = ${publicKeyOf(world.keys.server)}`,
      `Endpoint = ${serverName}:${serverPort}`,
      "AllowedIPs = 0.0.0.0/0",
      "",
    ].join("\n"),
  );
  return { world, host, peer, names };
}

/** Sends as much as it can to places outside, by every way there is, and says so from time to time. */
const leak = `
  const { createSocket } = require("node:dgram");
  let sent = 0;
  for (const [type, address] of [["udp4", "${outside[4]}"], ["udp6", "${outside[6]}"], ["udp4", "10.1.0.1"], ["udp4", "10.8.0.1"]]) {
    const socket = createSocket(type);
    const next = () => socket.send("to leak 9", 9, address, () => {
      if (++sent % 1000 === 0) console.log("sent " + sent);
      setImmediate(next);
    });
    next();
  }`;

/** What has left home that should not have, as hexadecimal: all but the tunnel, the question for its server, and ARP. */
function leaks(captures: readonly PacketSocket[]): string[] {
  const isAllowed = (packet: CapturedPacket) => {
    if (packet.outgoing || packet.protocol === 0x0806) return true;
    if (packet.protocol === 0x86dd) {
      const isMld = packet.bytes[6] === 0;
      const type = packet.bytes[isMld ? 48 : 40];
      return isMld ? type === 143 : packet.bytes[6] === 58 && type >= 133 && type <= 136;
    }
    const message = udpPayload(packet, serverPort);
    if (message !== undefined) return messageType(message) !== undefined;
    return Buffer.from(udpPayload(packet, 53) ?? []).includes("vpn\u0007example\u0003org");
  };
  return captures.flatMap((capture) =>
    capture
      .drainPackets()
      .filter((packet) => !isAllowed(packet))
      .map(({ bytes }) => Buffer.from(bytes.subarray(0, 80)).toString("hex")),
  );
}

describe("a full tunnel with a kill switch", { timeout: 240_000, concurrency: true }, () => {
  test("and DNS inside finds its server again, which has changed its address, within 30 s", async (t) => {
    if (!isReady(t)) return;
    using undo = new DisposableStack();
    const { world, host, peer, names } = await prepare(undo);
    await world.names("10.8.0.1", "inside.example", "10.8.0.77");
    await host.up("wg0", "--kill-switch");
    const captures = ["eth0", "eth1"].map((device) => undo.use(world.capture(device)));
    const lookUp = async (name: string) => {
      const script = `require("node:dns").lookup("${name}", (_, address) => console.log(String(address)))`;
      return (await host.start([process.execPath, "-e", script]).outcome).stdout.trim();
    };
    assert.equal((await ping(world.home, outside[4])).received, 1, "all goes through the tunnel");
    assert.equal(await lookUp("inside.example"), "10.8.0.77", "DNS is inside");
    await world.move(peer, names);
    const seconds = await secondsUntilAnswer(world.home, outside[4]);
    t.diagnostic(`reconnected after ${seconds.toFixed(1)} s`);
    assert.ok(seconds > 5, "the server was not away");
    assert.ok(seconds < 30, `it took ${seconds} s`);
    assert.equal(await lookUp("inside.example"), "10.8.0.77");
    assert.deepEqual(leaks(captures), []);
  });

  test("that is killed lets nothing leave until it is up again, and then through the tunnel alone", async (t) => {
    if (!isReady(t)) return;
    using undo = new DisposableStack();
    const { world, host } = await prepare(undo);
    const captures = ["eth0", "eth1"].map((device) => undo.use(world.capture(device)));
    const first = await host.up("wg0", "--kill-switch");
    leaks(captures); // those of before
    const leaker = world.home.start([process.execPath, "-e", leak]);
    const moreSent = async () => {
      await leaker.line(/sent/);
      await leaker.line(/sent/);
    };
    await moreSent();
    assert.deepEqual(leaks(captures), [], "while it is up");
    first.kill("SIGKILL");
    await first.outcome;
    await moreSent();
    assert.deepEqual(leaks(captures), [], "while it is dead");
    assert.equal((await ping(world.home, outside[4], { patienceSeconds: 1 })).received, 0);
    const second = await host.up("wg0", "--kill-switch");
    await moreSent();
    assert.deepEqual(leaks(captures), [], "while it takes over");
    assert.ok((await secondsUntilAnswer(world.home, outside[4])) < 10);
    assert.equal((await host.warren("down", "wg0")).code, 0);
    await second.outcome;
    while (leaks(captures).length === 0) for (const capture of captures.slice(0, 1)) awaitReadable(capture.fd);
  });
});
