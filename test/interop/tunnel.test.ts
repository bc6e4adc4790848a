import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, Endpoint } from "../../src/base/address.ts";
import { PrivateKey, PublicKey } from "../../src/base/keys.ts";
import { native } from "../../src/crypto/native.ts";
import { InterfaceConfig } from "../../src/os/interface-config.ts";
import { hostSetup } from "../../src/tunnel/host-setup.ts";
import { Tunnel } from "../../src/tunnel/tunnel.ts";
import { requireNamespaces } from "../requirements.ts";

const secret = (fill: number) => new Uint8Array(32).fill(fill);
const publicKey = (fill: number) => new PublicKey(native.publicKey(secret(fill)));

test("a peer that cannot be added leaves those that are there alone", async (t) => {
  if (!requireNamespaces(t)) return;
  const peers = [{ publicKey: publicKey(2), allowedIps: [Cidr.parse("10.77.0.2/32")] }];
  await using tunnel = await Tunnel.open({
    name: "warren%d",
    privateKey: new PrivateKey(secret(1)),
    peers,
    maximumPeers: 3,
  });
  const keys = () => tunnel.status().peers.map((peer) => peer.publicKey);
  assert.throws(() => tunnel.addPeer({ publicKey: publicKey(2), allowedIps: [] }), { code: "invalid-argument" });
  assert.throws(() => tunnel.addPeer({ publicKey: publicKey(1), allowedIps: [] }), { code: "invalid-configuration" });
  assert.deepEqual(keys(), [publicKey(2).toString()]);
  // Neither refusal may have cost a place: there is room for two more, once the workers have let go of the numbers.
  for (const fill of [3, 4]) tunnel.addPeer({ publicKey: publicKey(fill), allowedIps: [] });
  assert.throws(() => tunnel.addPeer({ publicKey: publicKey(5), allowedIps: [] }), { code: "not-available" });
  assert.equal(tunnel.removePeer(publicKey(3)), true);
  assert.equal(tunnel.removePeer(publicKey(3)), false);
  assert.deepEqual(keys(), [publicKey(2).toString(), publicKey(4).toString()]);
});

test("routes that would lead the tunnel into itself are refused, unless the endpoint has a way of its own", async (t) => {
  if (!requireNamespaces(t)) return;
  const peer = { publicKey: publicKey(2), endpoint: Endpoint.parse("203.0.113.7:51820") };
  const open = (allowed: string) => {
    const peers = [{ ...peer, allowedIps: [Cidr.parse(allowed)] }];
    const setUp = hostSetup({ peers, routes: { kind: "auto" } });
    return Tunnel.open({ name: "warren%d", privateKey: new PrivateKey(secret(1)), peers, setUp });
  };
  await assert.rejects(open("128.0.0.0/1"), {
    code: "invalid-configuration",
    message: /203\.0\.113\.7 .*into the tunnel/,
  });
  await using _tunnel = await open("10.77.0.0/16");
});

test("the interface has no address but its own, as the kernel's has not", async (t) => {
  if (!requireNamespaces(t)) return;
  const addresses = [Cidr.parse("10.77.0.1/24"), Cidr.parse("fd77::1/64")];
  const setUp = hostSetup({ addresses });
  await using tunnel = await Tunnel.open({ name: "warren%d", privateKey: new PrivateKey(secret(1)), setUp });
  using config = InterfaceConfig.open();
  const found = config.addresses.list(config.links.find(tunnel.name)?.index);
  assert.deepEqual(
    found.map(({ address }) => String(address)),
    ["10.77.0.1/24", "fd77::1/64"],
  );
});

test("a tunnel is closed once, and whoever asks waits for it", async (t) => {
  if (!requireNamespaces(t)) return;
  const tunnel = await Tunnel.open({ name: "warren%d", privateKey: new PrivateKey(secret(1)) });
  let isDone = false;
  const first = tunnel.close().then(() => {
    isDone = true;
  });
  await tunnel.close();
  assert.ok(isDone, "the second call returned before the first was done");
  await first;
});
