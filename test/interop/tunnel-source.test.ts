import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type AddressFamily, Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import { PacketSocket } from "../../src/os/packet-socket.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import type { Machine } from "./machine.ts";
import { TwoTunnels, until } from "./two-tunnels.ts";

const isReady = (t: TestContext) => requireNamespaces(t) && requireProgram(t, "ping", "iputils-ping") !== undefined;
const timeout = 60_000;
/** The right side's addresses: that which it is spoken to by, and that which the kernel would choose by itself. */
const spokenTo = { 4: "192.0.2.20", 6: "2001:db8::2" } as const;
const preferred = { 4: "192.0.2.2", 6: "2001:db8::20" } as const;
const lengths = { 4: 24, 6: 64 } as const;
const families: readonly AddressFamily[] = [4, 6];

/** A tunnel whose right side has two addresses of each family. */
async function openWithTwoAddresses(family: AddressFamily): Promise<TwoTunnels> {
  const tunnels = await TwoTunnels.open();
  tunnels.underlay.right.setUp("eth0", "192.0.2.20/24", "2001:db8::20/64");
  const endpoint = new Endpoint(IpAddress.parse(spokenTo[family]), tunnels.right.port);
  tunnels.left.updatePeer(tunnels.keyOf("right"), { endpoint });
  return tunnels;
}

const captureAt = (host: Machine) => host.namespace.run(() => PacketSocket.open({ device: host.indexOf("eth0") }));

/** The source addresses of UDP datagrams that came in, each once. */
function sources(capture: PacketSocket): string[] {
  const found = new Set<string>();
  for (const { bytes, outgoing } of capture.drainPackets()) {
    if (outgoing) continue;
    if (bytes[0] === 0x45 && bytes[9] === 17) found.add(String(new IpAddress(bytes.subarray(12, 16))));
    if (bytes[0] >> 4 === 6 && bytes[6] === 17) found.add(String(new IpAddress(bytes.subarray(8, 24))));
  }
  return [...found];
}

const knownAt = (tunnels: TwoTunnels) => [...tunnels.right.peers()][0].endpoint;

for (const family of families) {
  test(`what is spoken to at one IPv${family} address of two answers from there`, { timeout }, async (t) => {
    if (!isReady(t)) return;
    await using tunnels = await openWithTwoAddresses(family);
    using capture = captureAt(tunnels.underlay.left);
    await tunnels.answers("left"); // handshake response and data
    await tunnels.answers("right", 6);
    await until("a handshake may be had again", () => Date.now() - tunnels.lastHandshakeAt("right") > 5000);
    tunnels.right.initiate(tunnels.keyOf("left"));
    const before = tunnels.lastHandshakeAt("right");
    await until("a handshake that the right began", () => tunnels.lastHandshakeAt("right") > before);
    assert.deepEqual(sources(capture), [spokenTo[family]]);
  });

  test(`an IPv${family} address that goes away is forgotten, and nothing is lost`, { timeout }, async (t) => {
    if (!isReady(t)) return;
    await using tunnels = await openWithTwoAddresses(family);
    const { left, right } = tunnels.underlay;
    await tunnels.answers("left");
    using capture = captureAt(left);
    right.config.addresses.remove(right.indexOf("eth0"), Cidr.parse(`${spokenTo[family]}/${lengths[family]}`));
    await tunnels.answers("right");
    assert.deepEqual(sources(capture), [preferred[family]]);
    assert.deepEqual(tunnels.right.status().drops, {});
    await until(
      "the left follows",
      () => tunnels.left.status().peers[0].endpoint?.includes(`${preferred[family]}`) === true,
    );
  });
}

test("when the way to a peer changes, the address of the old way is forgotten", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await TwoTunnels.open();
  const { left, right } = tunnels.underlay;
  left.cable("eth1", ["198.51.100.1/24"], { host: right, name: "eth1", addresses: ["198.51.100.2/24"] });
  left.config.addresses.add(1, Cidr.parse("203.0.113.1/32"));
  for (const host of [left, right]) host.namespace.run(() => Sysctl.set("net/ipv4/conf/all/rp_filter", 0));
  const destination = Cidr.parse("203.0.113.1/32");
  const route = (via: string) => ({ destination, via: IpAddress.parse(via) });
  right.config.routes.add(route("192.0.2.1"));
  const endpoint = Endpoint.parse(`203.0.113.1:${tunnels.left.port}`);
  tunnels.right.updatePeer(tunnels.keyOf("left"), { endpoint });
  await tunnels.answers("right");
  await until(
    "the right knows where it was spoken to",
    () => knownAt(tunnels)?.local?.address.toString() === preferred[4],
  );
  assert.equal(String(knownAt(tunnels)), String(endpoint), "the left answers from where it was spoken to");

  right.config.routes.remove(route("192.0.2.1"));
  right.config.routes.add(route("198.51.100.1"));
  await until("the right forgets the old way", () => knownAt(tunnels)?.local === undefined);
  await tunnels.answers("right");
  const followed = `198.51.100.2:${tunnels.right.port}`;
  await until("the left follows", () => tunnels.left.status().peers[0].endpoint === followed);
});

test("an endpoint that is configured, and a new mark or port, begin without a source", { timeout }, async (t) => {
  if (!isReady(t)) return;
  await using tunnels = await openWithTwoAddresses(4);
  const { right } = tunnels;
  const isKnown = () => knownAt(tunnels)?.local !== undefined;
  const changes = [
    () => right.updatePeer(tunnels.keyOf("left"), { endpoint: Endpoint.parse("192.0.2.1:5901") }),
    () => right.setMark(7),
    () => right.setListenPort(0),
  ];
  for (const change of changes) {
    await tunnels.answers("left");
    await until("the right knows where it was spoken to", isKnown);
    change();
    assert.equal(isKnown(), false);
  }
});
