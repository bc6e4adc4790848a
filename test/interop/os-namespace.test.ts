import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { VpnError } from "../../src/base/errors.ts";
import { watchLink } from "../../src/os/link-watch.ts";
import { NetworkNamespace } from "../../src/os/namespace.ts";
import { InstalledTable } from "../../src/os/nftables.ts";
import { PacketSocket } from "../../src/os/packet-socket.ts";
import { Capabilities } from "../../src/os/probe.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { TunDevice } from "../../src/os/tun-device.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces } from "../requirements.ts";
import { Host, SmallNetwork } from "./small-network.ts";

const interfaces = () =>
  readFileSync("/proc/thread-self/net/dev", "utf8")
    .match(/^ *[^ |]+(?=:)/gm)
    ?.map((name) => name.trim());
const here = () => {
  using namespace = NetworkNamespace.current();
  return String(namespace);
};

test("an action runs inside, and the thread comes back", (t) => {
  if (!requireNamespaces(t)) return;
  using namespace = NetworkNamespace.create();
  const home = here();
  assert.notEqual(String(namespace), home);
  assert.equal(namespace.run(here), String(namespace));
  assert.deepEqual(namespace.run(interfaces), ["lo"]);
  assert.equal(here(), home);
});

test("the thread comes back also from an action that throws, and from one inside another", (t) => {
  if (!requireNamespaces(t)) return;
  using outer = NetworkNamespace.create();
  using inner = NetworkNamespace.create();
  const home = here();
  const seen = outer.run(() => {
    const between = inner.run(here);
    assert.throws(() => inner.run(() => assert.fail("on purpose")), /on purpose/);
    return [between, here()];
  });
  assert.deepEqual(seen, [String(inner), String(outer)]);
  assert.equal(here(), home);
});

test("an action that returns a promise is refused", (t) => {
  if (!requireNamespaces(t)) return;
  using namespace = NetworkNamespace.create();
  assert.throws(
    () => namespace.run(() => Promise.resolve()),
    (error) => error instanceof VpnError && error.code === "invalid-argument" && /synchronous/.test(error.message),
  );
});

test("a parameter is set in one namespace alone, and the former value is told", (t) => {
  if (!requireNamespaces(t)) return;
  using namespace = NetworkNamespace.create();
  using other = NetworkNamespace.create();
  const parameter = "net/ipv4/ip_forward";
  const before = other.run(() => Sysctl.get(parameter));
  const opposite = before === "0" ? 1 : 0;
  assert.equal(
    namespace.run(() => Sysctl.set(parameter, opposite)),
    before,
  );
  assert.equal(
    namespace.run(() => Sysctl.set(parameter, opposite)),
    undefined,
  );
  assert.equal(
    namespace.run(() => Sysctl.get(parameter)),
    String(opposite),
  );
  assert.equal(
    other.run(() => Sysctl.get(parameter)),
    before,
  );
  assert.throws(
    () => namespace.run(() => Sysctl.set("net/ipv4/ip_default_ttl", "many")),
    (error) => error instanceof VpnError && /EINVAL/.test(error.message) && /does not take/.test(error.line),
  );
});

test("a namespace is gone with its last descriptor, and the far end of its cable with it", {
  timeout: 20_000,
}, async (t) => {
  if (!requireNamespaces(t)) return;
  using near = new Host();
  const far = NetworkNamespace.create();
  near.config.links.createVeth({ name: "cable", peerName: "end", peerNamespace: far.fd });
  const index = near.indexOf("cable");
  const { promise: deleted, resolve } = Promise.withResolvers<void>();
  using _watch = near.namespace.run(() => watchLink(index, ({ kind }) => kind === "deleted" && resolve()));
  const stayAwake = setInterval(() => {}, 1000);
  far[Symbol.dispose]();
  await deleted;
  clearInterval(stayAwake);
  assert.equal(near.config.links.find("cable"), undefined);
});

test("everything that is opened is closed again", (t) => {
  if (!requireNamespaces(t)) return;
  const openAndClose = () => {
    using network = new SmallNetwork();
    const { router } = network;
    router.namespace.run(() => {
      using tun = TunDevice.open({ name: "wg%d", multiQueue: true });
      tun.openQueue();
      using sockets = openUdpSockets({ port: 0 });
      using _table = InstalledTable.install({ name: "warren", chains: [] });
      using capture = PacketSocket.open({ device: tun.index });
      using _captured = capture.onPackets(() => {});
      using _watch = watchLink(tun.index, () => {});
      assert.throws(() => TunDevice.open({ name: tun.name }));
      assert.throws(() => TunDevice.open({ name: "inside" }));
      assert.throws(() => openUdpSockets({ port: sockets.port }));
      assert.throws(() => PacketSocket.open({ device: 999 }));
      assert.throws(() => InstalledTable.install({ name: "warren", chains: [] }));
    });
    Capabilities.probe();
  };
  openAndClose(); // what stays open for ever is so after the first time
  const open = readdirSync("/proc/self/fd").length;
  openAndClose();
  assert.equal(readdirSync("/proc/self/fd").length, open);
});
