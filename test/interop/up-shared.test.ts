import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Sysctl } from "../../src/os/sysctl.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { FullTunnelNetwork } from "./full-tunnel.ts";
import { difference, formerResolvers } from "./managed-host.ts";
import { forwardingOf } from "./underlay.ts";

const second = { addresses: "10.9.0.1/24, fd09::1/64", allowedIps: "10.99.0.0/16, fd99::/64", dns: "10.9.0.2" };
const first = { dns: "10.8.0.2", allowedIps: "10.98.0.0/16, fd98::/64" };

describe("two tunnels that share forwarding and resolv.conf", { timeout: 240_000 }, () => {
  for (const [earlier, later] of [
    ["wg0", "wg1"],
    ["wg1", "wg0"],
  ]) {
    test(`${earlier} goes down before ${later}`, async (t) => {
      if (!requireNamespaces(t) || requireProgram(t, "nft", "nftables") === undefined) return;
      using network = new FullTunnelNetwork();
      const { host } = network;
      host.configure("wg0", network.file(first));
      host.configure("wg1", network.file(second));
      const before = await host.state();
      await host.up("wg0", "--forward");
      await host.up("wg1", "--forward");
      assert.match(host.read("etc/resolv.conf"), /^nameserver 10\.9\.0\.2$/m, "the later one's");
      assert.equal((await host.warren("down", earlier)).code, 0);
      assert.equal(forwardingOf(host.machine), "1,1", "the other one still forwards");
      const own = later === "wg0" ? "10.8.0.2" : "10.9.0.2";
      assert.deepEqual(host.read("etc/resolv.conf").match(/^nameserver .*$/gm), [`nameserver ${own}`]);
      assert.equal((await host.warren("down", later)).code, 0);
      assert.deepEqual(difference(before, await host.state()), {});
    });
  }

  test("both were killed, and are cleared away in either order", async (t) => {
    if (!requireNamespaces(t) || requireProgram(t, "nft", "nftables") === undefined) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(first));
    host.configure("wg1", network.file(second));
    const before = await host.state();
    for (const order of [
      ["wg0", "wg1"],
      ["wg1", "wg0"],
    ]) {
      const programs = [await host.up("wg0", "--forward"), await host.up("wg1", "--forward")];
      for (const program of programs) program.kill("SIGKILL");
      await Promise.all(programs.map((program) => program.outcome));
      for (const name of order) assert.equal((await host.warren("down", name)).code, 0);
      assert.deepEqual(difference(before, await host.state()), {}, order.join());
    }
  });
});

test("what somebody else has changed since is left as it is", { timeout: 240_000 }, async (t) => {
  if (!requireNamespaces(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  host.configure("wg0", network.file(first));
  await host.up("wg0", "--forward");
  host.write("etc/resolv.conf", "nameserver 192.0.2.77\n");
  host.machine.namespace.run(() => Sysctl.set("net/ipv6/conf/all/forwarding", 2));
  assert.equal((await host.warren("down", "wg0")).code, 0);
  assert.equal(host.read("etc/resolv.conf"), "nameserver 192.0.2.77\n");
  assert.equal(forwardingOf(host.machine), "0,2", "of forwarding, what was still ours is put back");
});

test("after a restart of the machine only files are restored", { timeout: 240_000 }, async (t) => {
  if (!requireNamespaces(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  host.configure("wg0", network.file({ ...first, allowedIps: "0.0.0.0/0" }));
  const program = await host.up("wg0", "--forward");
  program.kill("SIGKILL");
  await program.outcome;
  const rules = (await host.state()).rules4;
  // Another run of the machine, as far as the notes go: those of this one are of another boot.
  for (const file of host.notes()) host.write(file, host.read(file).replaceAll(/"boot":"[^"]*"/g, '"boot":"former"'));
  assert.equal((await host.warren("down", "wg0")).code, 0);
  assert.equal(host.read("etc/resolv.conf"), formerResolvers);
  assert.equal(forwardingOf(host.machine), "1,1", "as the restart left it");
  assert.equal((await host.state()).rules4, rules);
  assert.deepEqual(host.notes(), []);
});
