import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { Cidr, Endpoint } from "../../src/base/address.ts";
import { PresharedKey, PrivateKey } from "../../src/base/keys.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { serveIperf } from "./iperf-server.ts";
import type { Machine } from "./machine.ts";
import { unansweredPings } from "./ping.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import { TwoTunnels, until, within } from "./two-tunnels.ts";

const isReady = (t: TestContext) => requireNamespaces(t) && requireProgram(t, "ping", "iputils-ping") !== undefined;
const timeout = 60_000;

/** Whether something in this host's namespace is bound to a UDP port. */
function isBound(host: Machine, port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  return host.proc("net/udp").includes(local) || host.proc("net/udp6").includes(local);
}

test("the port changes under a running ping and a TCP stream, and the session lives on", { timeout }, async (t) => {
  if (!isReady(t) || requireProgram(t, "iperf3", "iperf3") === undefined) return;
  await using tunnels = await TwoTunnels.open();
  const { left, right } = tunnels.underlay;
  await tunnels.answers("left");
  const handshake = tunnels.lastHandshakeAt("left");
  const server = await serveIperf(right);
  const client = left.start(["iperf3", "--client", within.right[6], "--bytes", "30M", "--json"]);
  const pings = left.start(["ping", "-n", "-i", "0.01", "-c", "60", "-W", "2", within.right[4]]);
  for (const port of [7001, 7002, 0]) {
    await pings.line(/icmp_seq/);
    const former = tunnels.left.port;
    tunnels.left.setListenPort(port);
    assert.ok(port === 0 ? tunnels.left.port > 0 : tunnels.left.port === port);
    assert.ok(isBound(left, tunnels.left.port));
    await until("the old port is refused", () => !isBound(left, former));
  }
  const { stdout } = await pings.outcome;
  await tunnels.answers("left"); // whatever was under way is in front of it
  const lost = unansweredPings(left, 4);
  assert.ok(lost <= 3, `an answer may have been on its way to the old port, three times: ${lost}, ${stdout}`);
  const { code, stdout: report } = await client.outcome;
  assert.equal(code, 0, report);
  await server.ended();
  assert.equal(tunnels.lastHandshakeAt("left"), handshake);
  await tunnels.answers("right", 6);
  assert.equal(tunnels.right.status().peers[0].endpoint, `192.0.2.1:${tunnels.left.port}`);
});

test("a port that is taken leaves the old one working", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  using _taken = tunnels.underlay.left.namespace.run(() => openUdpSockets({ port: 7003 }));
  await tunnels.answers("left");
  const { port } = tunnels.left;
  assert.throws(() => tunnels.left.setListenPort(7003), { code: "port-taken", message: /7003/ });
  assert.equal(tunnels.left.port, port);
  for (const side of ["left", "right"] as const) await tunnels.answers(side);
});

test("a new private key ends the sessions, and removes the peer that has it", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open(() => ({ maximumPeers: 2 }));
  const { left, right } = tunnels;
  await tunnels.answers("left");
  const other = new PrivateKey(randomBytes(32));
  left.addPeer({ publicKey: publicKeyOf(other), allowedIps: [Cidr.parse("10.9.7.7/32")] });
  left.setPrivateKey(other);
  assert.equal(left.hasPeer(publicKeyOf(other)), false);
  assert.throws(() => left.addPeer({ publicKey: publicKeyOf(other), allowedIps: [] }), {
    code: "invalid-configuration",
  });
  assert.ok(left.publicKey?.equals(publicKeyOf(other)));
  await tunnels.isSilent("left");
  left.addPeer({ publicKey: publicKeyOf(new PrivateKey(randomBytes(32))), allowedIps: [] }); // there is room again
  right.addPeer({ publicKey: publicKeyOf(other), allowedIps: [Cidr.parse(`${within.left[4]}/32`)] });
  await until("the old handshake attempt is over", () => Date.now() - tunnels.lastHandshakeAt("left") > 5000);
  await tunnels.answers("left");
  left.setPrivateKey(undefined);
  assert.equal(left.publicKey, undefined);
  await tunnels.isSilent("right");
  left.setPrivateKey(other);
  await tunnels.answers("left");
});

test("a preshared key binds from the next handshake on", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  const { left, right } = tunnels;
  const presharedKey = new PresharedKey(randomBytes(32));
  await tunnels.answers("left");
  const handshake = tunnels.lastHandshakeAt("left");
  left.updatePeer(tunnels.keyOf("right"), { presharedKey });
  assert.ok([...left.peers()][0].presharedKey.equals(presharedKey));
  await tunnels.answers("left");
  assert.equal(tunnels.lastHandshakeAt("left"), handshake, "the session lives on");
  await until("the next handshake may begin", () => Date.now() - handshake > 5000);
  left.initiate(tunnels.keyOf("right"));
  await until("the response is no good", () => left.status().drops["handshake-undecryptable"] === 1);
  right.updatePeer(tunnels.keyOf("left"), { presharedKey });
  await until("the two agree", () => tunnels.lastHandshakeAt("left") > handshake);
  left.updatePeer(tunnels.keyOf("right"), { removePresharedKey: true });
  assert.ok([...left.peers()][0].presharedKey.isNone);
  await tunnels.answers("left");
});

test("a persistent keepalive that is switched on begins at once, with a session or without", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  const { left, right } = tunnels;
  const received = () => right.status().peers[0].receivedBytes;
  const keepalive = 32;
  left.updatePeer(tunnels.keyOf("right"), { persistentKeepaliveSeconds: 25 });
  await until("a handshake, and the keepalive that confirms it", () => received() === keepalive);
  left.updatePeer(tunnels.keyOf("right"), { persistentKeepaliveSeconds: 25 });
  left.updatePeer(tunnels.keyOf("right"), { persistentKeepaliveSeconds: 0 });
  assert.equal([...left.peers()][0].persistentKeepaliveSeconds, 0);
  left.updatePeer(tunnels.keyOf("right"), { persistentKeepaliveSeconds: 600 });
  await until("a keepalive", () => received() === 2 * keepalive);
  assert.equal([...left.peers()][0].persistentKeepaliveSeconds, 600);
});

test("allowed IPs move between peers, come and go", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  const { left } = tunnels;
  const stranger = publicKeyOf(new PrivateKey(randomBytes(32)));
  const inner = Cidr.parse(`${within.right[4]}/32`);
  const allowed = () => Array.from(left.peers(), (peer) => Array.from(peer.allowedIps, String).sort().join(" "));
  await tunnels.answers("left");
  left.addPeer({ publicKey: stranger, allowedIps: [inner] });
  assert.deepEqual(allowed(), ["fd09::2/128", "10.9.0.2/32"]);
  await tunnels.isSilent("left");
  left.updatePeer(stranger, { removedAllowedIps: [inner, Cidr.parse("10.9.0.9/32")] });
  left.updatePeer(tunnels.keyOf("right"), { replaceAllowedIps: true, allowedIps: [inner] });
  assert.deepEqual(allowed(), ["10.9.0.2/32", ""]);
  await tunnels.answers("left");
  assert.equal(left.removePeer(stranger), true);
  assert.throws(() => left.updatePeer(stranger, {}), { code: "invalid-argument" });
});

test("a new endpoint and a new mark take effect with the next message", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  const host = tunnels.underlay.left;
  await tunnels.answers("left");
  tunnels.left.updatePeer(tunnels.keyOf("right"), { endpoint: Endpoint.parse("192.0.2.99:5902") });
  await tunnels.isSilent("left");
  tunnels.left.updatePeer(tunnels.keyOf("right"), { endpoint: Endpoint.parse("[2001:db8::2]:5902") });
  await tunnels.answers("left");
  host.config.routes.add({ destination: Cidr.parse("::/0"), kind: "unreachable", table: 77 });
  host.config.rules.add({ family: 6, mark: 7, table: 77, priority: 1 });
  tunnels.left.setMark(7);
  assert.equal(tunnels.left.mark, 7);
  await tunnels.isSilent("left");
  tunnels.left.setMark(0);
  await tunnels.answers("left");
});
