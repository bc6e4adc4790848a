import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { libc } from "../../src/os/libc.ts";
import { TunDevice } from "../../src/os/tun-device.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { Tunnel } from "../../src/tunnel/tunnel.ts";
import { HandshakeInitiationInterval } from "../../src/wireguard/constants.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { serveIperf } from "./iperf-server.ts";
import { Machine } from "./machine.ts";
import { pingEach } from "./ping.ts";
import { interfaceName, openInside, TwoTunnels, until, within } from "./two-tunnels.ts";
import { Underlay } from "./underlay.ts";
import { warrenCommand } from "./warren-process.ts";

const isReady = (t: TestContext) => requireNamespaces(t) && requireProgram(t, "ping", "iputils-ping") !== undefined;
const timeout = 60_000;
const O_RDWR = 2;
const TUNSETIFF = 0x4004_54ca;
const IFF_TAP = 2;
const largestMtu = 65_535 - 80;

const set = (host: Machine, change: { up?: boolean; mtu?: number; namespace?: number }) =>
  host.config.links.set(host.indexOf(interfaceName), change);
/** Whether a host's namespace has a UDP socket on this port. */
const isBound = (host: Machine, port: number) =>
  host.proc("net/udp").includes(`:${port.toString(16).toUpperCase().padStart(4, "0")} `);

test("down closes the port and forgets the sessions, up opens it again", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  const { left } = tunnels.underlay;
  const { port } = tunnels.left;
  await tunnels.answers("left");
  set(left, { up: false });
  await until("the port is closed", () => !isBound(left, port));
  assert.equal(tunnels.left.port, port);
  left.namespace.run(() => openUdpSockets({ port }))[Symbol.dispose](); // others may have it meanwhile
  await tunnels.isSilent("right");
  set(left, { up: true });
  await until("the port is open", () => isBound(left, port));
  const handshake = tunnels.lastHandshakeAt("left");
  await tunnels.answers("left");
  assert.ok(tunnels.lastHandshakeAt("left") > handshake, "it is another session");
});

test("up greets the peers that are to be kept alive", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  tunnels.left.updatePeer(tunnels.keyOf("right"), { persistentKeepaliveSeconds: 25 });
  await until("a handshake", () => tunnels.lastHandshakeAt("right") > 0);
  const { left } = tunnels.underlay;
  set(left, { up: false });
  await until("the port is closed", () => !isBound(left, tunnels.left.port));
  const former = tunnels.lastHandshakeAt("right");
  await until("no flood is suspected", () => Date.now() - former > 2 * HandshakeInitiationInterval);
  set(left, { up: true });
  await until("a handshake that nobody but the tunnel asked for", () => tunnels.lastHandshakeAt("right") > former);
});

test("an interface that begins down listens when it comes up, unless the port is taken", { timeout }, async (t) => {
  if (!isReady(t)) return;
  using underlay = new Underlay();
  const host = underlay.left;
  const taken = host.namespace.run(() => openUdpSockets({ port: 7010 }));
  const notices: string[] = [];
  await using tunnel = await openInside(host, () => ({
    name: interfaceName,
    notice: ({ code }) => notices.push(code),
  }));
  assert.deepEqual([tunnel.port, host.config.links.find(interfaceName)?.up], [0, false]);
  set(host, { up: true });
  await until("a port of the kernel's choice", () => tunnel.port !== 0 && isBound(host, tunnel.port));
  const chosen = tunnel.port;
  set(host, { up: false });
  await until("the port is closed", () => !isBound(host, chosen));
  tunnel.setListenPort(7010);
  set(host, { up: true });
  await until("the operator is told", () => notices.length > 0);
  assert.deepEqual(notices, ["port-taken"]);
  assert.throws(() => tunnel.setListenPort(7010), { code: "port-taken" });
  taken[Symbol.dispose]();
  tunnel.setListenPort(7010);
  assert.ok(isBound(host, 7010));
});

test("packets of every size pass at the largest MTU there is", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  const { left, right } = tunnels.underlay;
  for (const host of [left, right]) set(host, { mtu: largestMtu });
  await until("both know", () => [tunnels.left, tunnels.right].every((one) => one.status().mtu === largestMtu));
  await pingEach(left, within.right[4], [1420, 1500, 9000, 65_000, largestMtu - 1, largestMtu]);
  await pingEach(right, within.left[6], [1421, 32_768, largestMtu]);
  assert.deepEqual(tunnels.left.status().drops, {});
  set(left, { mtu: 1300 });
  await until("it knows", () => tunnels.left.status().mtu === 1300);
  const sentBefore = tunnels.left.status().peers[0].sentBytes;
  await pingEach(left, within.right[4], [1300]);
  assert.equal(tunnels.left.status().peers[0].sentBytes - sentBefore, 1300 + 32, "no padding beyond the MTU");
});

test("the interface moves to another namespace, where it is followed, and its port stays behind", {
  timeout,
}, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  using elsewhere = new Machine();
  const { left } = tunnels.underlay;
  const { port } = tunnels.left;
  await tunnels.answers("left");
  set(left, { namespace: elsewhere.namespace.fd });
  await until("the move takes it down", () => !isBound(left, port));
  elsewhere.setUp(interfaceName, `${within.left[4]}/24`, `${within.left[6]}/64`);
  await until("the port is where it was", () => isBound(left, port));
  assert.equal(isBound(elsewhere, port), false);
  await pingEach(elsewhere, within.right[4], [100]);
  set(elsewhere, { mtu: 1300 });
  await until("the MTU is noticed there", () => tunnels.left.status().mtu === 1300);
  tunnels.left.setListenPort(7020);
  assert.deepEqual([isBound(left, 7020), isBound(elsewhere, 7020)], [true, false]);
  await pingEach(elsewhere, within.right[6], [1300]);
  set(elsewhere, { up: false });
  await until("down closes the port", () => !isBound(left, 7020));
  set(elsewhere, { namespace: left.namespace.fd });
  left.setUp(interfaceName, `${within.left[4]}/24`);
  await until("it is followed home", () => isBound(left, 7020));
  await tunnels.answers("left");
  left.config.links.delete(left.indexOf(interfaceName));
  assert.match((await tunnels.left.failure).message, /EBADFD/);
});

test("without CAP_SYS_ADMIN a move is not a deletion, and up and down are still noticed", { timeout }, async (t) => {
  if (!isReady(t)) return;
  using underlay = new Underlay();
  using elsewhere = new Machine();
  const { left } = underlay;
  const command = warrenCommand([], "up", "-", "--name", interfaceName, "--foreground", "--json");
  const config = `[Interface]\nPrivateKey = ${"A".repeat(42)}E=\nListenPort = 7030\n`;
  const program = left.start(["setpriv", "--bounding-set=-sys_admin", "--", ...command], config);
  await program.line(/"event":"ready"/);
  set(left, { namespace: elsewhere.namespace.fd });
  await until("the move takes it down", () => !isBound(left, 7030));
  set(elsewhere, { up: true });
  await until("up is noticed there", () => isBound(left, 7030));
  elsewhere.config.links.delete(elsewhere.indexOf(interfaceName));
  const { code, stderr } = await program.outcome;
  assert.equal(code, 1);
  assert.match(stderr, /EBADFD/);
});

for (const virtioHeader of [true, false]) {
  const title = `a device that somebody else opened ${virtioHeader ? "with" : "without"} a virtio header is taken over`;
  test(title, { timeout }, async (t) => {
    if (!isReady(t) || requireProgram(t, "iperf3", "iperf3") === undefined) return;
    let fd = -1;
    await using tunnels = await TwoTunnels.open((side) => {
      if (side === "right") return {};
      fd = TunDevice.open({ name: interfaceName, virtioHeader }).fd;
      return { name: "ignored", tunFd: fd };
    });
    const { left, right } = tunnels.underlay;
    assert.equal(tunnels.left.name, interfaceName);
    assert.equal(tunnels.left.status().offloads.tun.tcp4, virtioHeader);
    await tunnels.answers("left");
    await tunnels.answers("right", 6);
    const server = await serveIperf(right);
    await left.run("iperf3", "--client", within.right[4], "--bytes", "5M", "--bidir");
    await server.ended();
    assert.deepEqual(tunnels.left.status().drops, {});
    await tunnels.left.close();
    assert.equal(left.config.links.find(interfaceName), undefined, "the descriptor is closed at the end");
  });
}

test("a descriptor that is no TUN device, or one of Ethernet, is refused by its number", async (t) => {
  if (!requireNamespaces(t)) return;
  using sockets = openUdpSockets({ port: 0 });
  const fd = libc.open("/dev/net/tun", O_RDWR, 0);
  const request = new Uint8Array(40);
  request[16] = IFF_TAP;
  assert.equal(libc.ioctl(fd, TUNSETIFF, request), 0);
  for (const refused of [sockets.v4, fd]) {
    const open = async () => {
      await using _tunnel = await Tunnel.open({ name: "", tunFd: refused });
    };
    await assert.rejects(open, { code: "invalid-argument", message: new RegExp(`descriptor ${refused} `) });
  }
  libc.close(fd);
});
