import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import { VpnError } from "../../src/base/errors.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { type LinkEvent, watchLink } from "../../src/os/link-watch.ts";
import { localTable } from "../../src/os/routes.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { receiveDatagram } from "./datagrams.ts";
import { Host, SmallNetwork } from "./small-network.ts";

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const isError = (code: string, pattern: RegExp) => (error: unknown) =>
  error instanceof VpnError && error.code === code && pattern.test(error.line);

test("links are made, changed, moved and deleted", (t) => {
  if (!requireNamespaces(t)) return;
  using here = new Host();
  using there = new Host();
  const { links } = here.config;
  links.createVeth({ name: "a", peerName: "b" });
  const a = here.indexOf("a");
  const b = here.indexOf("b");
  assert.deepEqual(links.find(a), { index: a, name: "a", up: false, loopback: false, mtu: 1500, kind: "veth" });
  links.set(a, { up: true, mtu: 1420, name: "wg7" });
  assert.deepEqual(links.find("wg7"), { index: a, name: "wg7", up: true, loopback: false, mtu: 1420, kind: "veth" });
  links.set(a, { mtu: 1400 });
  assert.equal(links.find(a)?.up, true, "what is not named stays");
  links.set(a, { up: false });
  assert.equal(links.find(a)?.up, false);
  links.set(b, { namespace: there.namespace.fd });
  assert.deepEqual(
    links.list().map(({ name }) => name),
    ["lo", "wg7"],
  );
  assert.equal(there.config.links.find("b")?.kind, "veth");
  assert.equal(links.delete(a), true);
  assert.equal(links.delete(a), false);
  assert.equal(there.config.links.find("b"), undefined);
});

test("a link's refusals say what to do", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new Host();
  const { links } = host.config;
  links.createVeth({ name: "a", peerName: "b" });
  assert.throws(
    () => links.createVeth({ name: "a", peerName: "c" }),
    isError("name-taken", /EEXIST: choose another name/),
  );
  assert.throws(() => links.set(host.indexOf("a"), { name: "b" }), isError("name-taken", /EEXIST/));
  assert.throws(() => links.set(host.indexOf("a"), { mtu: 1 }), isError("system-call-failed", /"mtu":1.*EINVAL/));
  assert.throws(() => links.set(999, { up: true }), isError("not-available", /ENODEV: the interface is gone/));
});

test("addresses are added, listed and removed", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new Host();
  const { links, addresses } = host.config;
  links.createVeth({ name: "a", peerName: "b" });
  const a = host.indexOf("a");
  for (const text of ["10.8.0.1/24", "10.9.0.1/32", "fd00:8::1/64"]) {
    const address = Cidr.parse(text);
    addresses.add(a, address);
    assert.ok(addresses.list(a).some((found) => found.address.equals(address)));
    assert.throws(() => addresses.add(a, address), isError("system-call-failed", /EEXIST: the interface has this/));
    assert.equal(addresses.remove(a, address), true);
    assert.equal(addresses.remove(a, address), false);
    assert.ok(!addresses.list(a).some((found) => found.address.equals(address)));
  }
});

test("an interface is settled when its addresses of IPv6 lead to this machine, however busy that is", (t) => {
  if (!requireNamespaces(t)) return;
  using host = new Host();
  const { links, addresses, routes } = host.config;
  const address = Cidr.parse("fd00:8::1/64");
  for (let i = 0; i < 40; i++) {
    links.createVeth({ name: "a", peerName: "b" });
    const a = host.indexOf("a");
    links.set(host.indexOf("b"), { up: true });
    links.set(a, { up: true });
    addresses.add(a, address);
    assert.equal(host.config.settle(a), true);
    assert.equal(routes.lookup(address.address)?.route.table, localTable, `attempt ${i}`);
    links.delete(a);
  }
});

test("an interface is settled when nothing that it sends is lost", (t) => {
  if (!requireNamespaces(t)) return;
  using near = new Host();
  using far = new Host();
  for (let i = 0; i < 30; i++) {
    near.config.links.createVeth({ name: "a", peerName: "b", peerNamespace: far.namespace.fd });
    // A question for a neighbour that is lost is not asked again in time.
    near.namespace.run(() => Sysctl.set("net/ipv4/neigh/a/retrans_time_ms", 60_000));
    const ends = [
      { config: near.config, device: near.indexOf("a"), address: "10.8.0.1/24" },
      { config: far.config, device: far.indexOf("b"), address: "10.8.0.2/24" },
    ];
    for (const { config, device, address } of ends) {
      config.links.set(device, { up: true });
      config.addresses.add(device, Cidr.parse(address));
    }
    for (const { config, device } of ends) assert.equal(config.settle(device, 10_000), true);
    using sender = near.namespace.run(() => openUdpSockets({ port: 0 }));
    using receiver = far.namespace.run(() => openUdpSockets({ port: 7000 }));
    assert.equal(sendDatagram(sender, new TextEncoder().encode("at once"), Endpoint.parse("10.8.0.2:7000")), 0);
    assert.equal(receiveDatagram(receiver.v4).text, "at once", `attempt ${i}`);
    near.config.links.delete(near.indexOf("a"));
  }
});

test("an address of IPv6 can be used at once", (t) => {
  if (!requireNamespaces(t)) return;
  const ip = requireProgram(t, "ip", "iproute2");
  if (ip === undefined) return;
  using network = new SmallNetwork();
  const shown = network.home.namespace.run(() =>
    execFileSync(ip, ["address", "show", "dev", "eth0"], { encoding: "utf8" }),
  );
  assert.match(shown, /inet6 fd01::2\/64 scope global nodad/);
});

test("routes are added, replaced, listed as ip(8) has them, and removed", (t) => {
  if (!requireNamespaces(t)) return;
  const ip = requireProgram(t, "ip", "iproute2");
  if (ip === undefined) return;
  using network = new SmallNetwork();
  const { home } = network;
  const { routes } = home.config;
  const device = home.indexOf("eth0");
  const via = IpAddress.parse("10.1.0.1");
  const route = { destination: Cidr.parse("8.8.8.0/24"), via, metric: 7, mtu: 1300, table: 51_820 };
  routes.add(route);
  assert.throws(() => routes.add(route), isError("system-call-failed", /8\.8\.8\.0\/24 via 10\.1\.0\.1 .*EEXIST/));
  routes.replace({ ...route, mtu: 1280 });
  assert.deepEqual(plain(routes.list({ table: 51_820 })), [
    { ...(plain(route) as object), kind: "unicast", device, mtu: 1280 },
  ]);
  const shown = () =>
    home.namespace.run(() => execFileSync(ip, ["route", "show", "table", "51820"], { encoding: "utf8" }));
  assert.equal(shown().trim(), "8.8.8.0/24 via 10.1.0.1 dev eth0 proto static metric 7 mtu 1280");
  assert.equal(routes.remove(route), true);
  assert.equal(routes.remove(route), false);
  assert.deepEqual(routes.list({ table: 51_820 }), []);

  const v6 = { destination: Cidr.parse("2001:db8::/32"), device, source: IpAddress.parse("fd01::2") };
  routes.add(v6);
  const found = routes.list({ family: 6 }).find((candidate) => candidate.destination.equals(v6.destination));
  assert.deepEqual(plain(found), { ...(plain(v6) as object), kind: "unicast", table: 254, metric: 1024 });
  assert.equal(routes.remove(v6), true);
});

test("a route's refusals say what to do", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { routes } = network.home.config;
  const destination = Cidr.parse("8.8.8.8/32");
  const strange = IpAddress.parse("172.16.0.1");
  assert.throws(
    () => routes.add({ destination, via: strange }),
    isError("system-call-failed", /ENETUNREACH: the gateway/),
  );
  assert.throws(
    () => routes.add({ destination, device: 999 }),
    isError("not-available", /ENODEV: the interface is gone/),
  );
  routes.add({ destination, via: strange, device: network.home.indexOf("eth0"), onLink: true });
  assert.equal(
    routes
      .list({ table: 254 })
      .find((route) => route.onLink === true)
      ?.via?.toString(),
    "172.16.0.1",
  );
});

test("the route that the kernel would choose is told, with the rules and the mark in force", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { home } = network;
  const { routes, rules } = home.config;
  const device = home.indexOf("eth0");
  routes.add({ destination: Cidr.parse("8.8.8.8/32"), device, table: 1000 });
  const choose = (address: string, mark?: number) => plain(routes.lookup(IpAddress.parse(address), mark));
  const byDefault = {
    route: { destination: "0.0.0.0/0", kind: "unicast", table: 254, via: "10.1.0.1", device },
    source: "10.1.0.2",
  };
  assert.deepEqual(choose("8.8.8.8"), byDefault);
  const rule = { family: 4, table: 1000, mark: 51_820, invert: true, priority: 100 } as const;
  rules.add(rule);
  assert.deepEqual(choose("8.8.8.8"), {
    route: { destination: "8.8.8.8/32", kind: "unicast", table: 1000, device },
    source: "10.1.0.2",
  });
  assert.deepEqual(choose("8.8.8.8", 51_820), byDefault);
  assert.deepEqual(choose("2001:4860:4860::8888"), {
    route: { destination: "::/0", kind: "unicast", table: 254, via: "fd01::1", device, metric: 1024 },
    source: "fd01::2",
  });
  assert.equal(network.server.config.routes.lookup(IpAddress.parse("8.8.8.8")), undefined);
  assert.equal(network.server.config.routes.lookup(IpAddress.parse("2001:4860:4860::8888")), undefined);
});

test("rules are added, listed as ip(8) has them, and removed", (t) => {
  if (!requireNamespaces(t)) return;
  const ip = requireProgram(t, "ip", "iproute2");
  if (ip === undefined) return;
  using host = new Host();
  const { rules } = host.config;
  const marked = { family: 4, table: 51_820, priority: 100, mark: 0xca6c, mask: 0xffff, invert: true } as const;
  const narrow = {
    family: 6,
    table: 254,
    priority: 99,
    suppressPrefixLength: 0,
    from: Cidr.parse("fd00::/8"),
  } as const;
  for (const rule of [marked, narrow]) {
    rules.add(rule);
    assert.throws(() => rules.add(rule), isError("system-call-failed", /EEXIST: there is such a rule/));
    const found = rules.list(rule.family).find(({ priority }) => priority === rule.priority);
    assert.deepEqual(plain(found), plain(rule));
  }
  const shown = (family: string) => host.namespace.run(() => execFileSync(ip, [family, "rule"], { encoding: "utf8" }));
  assert.match(shown("-4"), /^100:\tnot from all fwmark 0xca6c\/0xffff lookup 51820/m);
  assert.match(shown("-6"), /^99:\tfrom fd00::\/8 lookup main suppress_prefixlength 0/m);
  for (const rule of [marked, narrow]) {
    assert.equal(rules.remove(rule), true);
    assert.equal(rules.remove(rule), false);
  }
});

test("a watched link tells of its changes and of its end, and of nothing else", { timeout: 20_000 }, async (t) => {
  if (!requireNamespaces(t)) return;
  using host = new Host();
  const { links } = host.config;
  links.createVeth({ name: "a", peerName: "b" });
  const index = host.indexOf("a");
  const events: LinkEvent[] = [];
  const watch = (which: number, tell: (event: LinkEvent) => void) => host.namespace.run(() => watchLink(which, tell));
  let told = Promise.withResolvers<void>();
  using _watch = watch(index, (event) => {
    events.push(event);
    told.resolve();
  });
  // Watches hear of a notice in the order in which they began: once this one has told, the other has kept quiet.
  const other = host.indexOf("b");
  const toldOfOther = Promise.withResolvers<void>();
  using _other = watch(other, () => toldOfOther.resolve());
  const stayAwake = setInterval(() => {}, 1000);
  links.set(other, { mtu: 1300 });
  await toldOfOther.promise;
  assert.deepEqual(events, []);
  links.set(index, { mtu: 1280 });
  await told.promise;
  told = Promise.withResolvers();
  links.delete(index);
  await told.promise;
  clearInterval(stayAwake);
  assert.deepEqual(events, [
    { kind: "changed", link: { index, name: "a", up: false, loopback: false, mtu: 1280, kind: "veth" } },
    { kind: "deleted" },
  ]);
});

test("the kernel says what it would do with a packet that came in", (t) => {
  if (!requireNamespaces(t)) return;
  using network = new SmallNetwork();
  const { router } = network;
  const inside = router.indexOf("inside");
  const ask = (to: string, from: string) =>
    router.config.routes.lookupIncoming(IpAddress.parse(to), IpAddress.parse(from), inside);
  for (const [there, from, own, prefix, bits] of [
    ["10.2.0.2", "10.1.0.2", "10.1.0.1", "10.2.0.0/24", 32],
    ["fd02::2", "fd01::2", "fd01::1", "fd02::/64", 128],
  ] as const) {
    const forwarded = ask(there, from);
    assert.deepEqual([forwarded?.destination.toString(), forwarded?.device], [prefix, router.indexOf("outside")]);
    const delivered = ask(own, from);
    assert.deepEqual([delivered?.kind, delivered?.destination.toString()], ["local", `${own}/${bits}`]);
  }
  assert.equal(ask("8.8.8.8", "10.1.0.2"), undefined, "it has no route there");
  assert.equal(ask("10.2.0.2", "127.0.0.1"), undefined, "nobody else is 127.0.0.1");
});
