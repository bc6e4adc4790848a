import assert from "node:assert/strict";
import { chmodSync, lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { FullTunnelNetwork } from "./full-tunnel.ts";
import { difference, formerResolvers, type ManagedHost } from "./managed-host.ts";

const split = { allowedIps: "10.8.0.0/24", dns: "10.8.0.2, fd08::2, corp.example" };

function isReady(t: TestContext): boolean {
  return requireNamespaces(t) && requireProgram(t, "nft", "nftables") !== undefined;
}

/** A program that writes down how it was called. Returns where it is found. */
function addProgram(host: ManagedHost, name: string, then = ""): { readonly PATH: string } {
  mkdirSync(host.path("bin"), { recursive: true });
  host.write(`bin/${name}`, `#!/bin/sh\necho "$0 $*" | sed 's:.*/bin/::' >> ${host.path("calls")}\n${then}\n`);
  chmodSync(host.path(`bin/${name}`), 0o755);
  host.write("calls", "");
  return { PATH: `${host.path("bin")}:${process.env.PATH}` };
}

async function up(host: ManagedHost, environment: Readonly<Record<string, string>>): Promise<void> {
  await host.start(host.command("up", "wg0", "--foreground", "--json"), environment).line(/"event":"ready"/);
}

describe("the tunnel's resolvers are set", { concurrency: 2, timeout: 240_000 }, () => {
  test("in systemd-resolved, where that runs", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(split));
    const environment = addProgram(host, "resolvectl");
    symlinkSync("resolvectl", host.path("bin/resolvconf")); // as systemd's own package has it
    mkdirSync(host.path("run/systemd/resolve"), { recursive: true });
    await up(host, environment);
    assert.equal(host.read("etc/resolv.conf"), formerResolvers);
    assert.deepEqual(host.read("calls").trim().split("\n"), [
      "resolvectl dns wg0 10.8.0.2 fd08::2",
      "resolvectl domain wg0 ~. corp.example",
      "resolvectl default-route wg0 true",
    ]);
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.match(host.read("calls"), /\nresolvectl revert wg0\n$/);
  });

  test("by resolvconf, also after a SIGKILL, under the name that its order asks for", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(split));
    mkdirSync(host.path("etc/resolvconf"));
    host.write("etc/resolvconf/interface-order", "# first come\nlo.inet*\ntun*\neth*\n");
    const program = host.start(host.command("up", "wg0", "--foreground", "--json"), addProgram(host, "resolvconf"));
    await program.line(/"event":"ready"/);
    program.kill("SIGKILL");
    await program.outcome;
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.deepEqual(host.read("calls").trim().split("\n"), [
      "resolvconf -a tun.wg0 -m 0 -x",
      "resolvconf -d tun.wg0 -f",
    ]);
  });

  test("and a resolvconf that fails undoes everything", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(split));
    const environment = addProgram(host, "resolvconf", "case $1 in -a) echo no room >&2; exit 3;; esac");
    const before = await host.state();
    const { code, stderr } = await host.start(host.command("up", "wg0"), environment).outcome;
    assert.equal(code, 1);
    assert.match(stderr, /resolvconf -a wg0 -m 0 -x failed: ended with 3: no room: see to that program/);
    assert.match(host.read("calls"), /-d wg0 -f\n$/, "half of it may have been done");
    assert.deepEqual(difference(before, await host.state()), {});
  });

  test("in /etc/resolv.conf, in place of a link, which comes back", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(split));
    renameSync(host.path("etc/resolv.conf"), host.path("etc/kept"));
    symlinkSync("kept", host.path("etc/resolv.conf"));
    await host.up("wg0");
    assert.ok(lstatSync(host.path("etc/resolv.conf")).isFile());
    assert.match(host.read("etc/resolv.conf"), /^nameserver 10\.8\.0\.2\nnameserver fd08::2\nsearch corp\.example$/m);
    assert.equal(host.read("etc/kept"), formerResolvers);
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.equal(readlinkSync(host.path("etc/resolv.conf")), "kept");
  });

  test("in /etc/resolv.conf where there was none, and where it is a mount, as in containers", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(split));
    rmSync(host.path("etc/resolv.conf"));
    await host.up("wg0");
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.throws(() => host.read("etc/resolv.conf"), /ENOENT/);
    host.write("etc/resolv.conf", formerResolvers);
    host.write("mounted", formerResolvers);
    // The second as under systemd's ProtectSystem=strict: nothing else in /etc may be written.
    for (const rest of ["true", "mount -o remount,bind,ro /etc"]) {
      const script = `mount --bind ${host.path("mounted")} /etc/resolv.conf && ${rest} && exec "$@"`;
      const command = ["sh", "-c", script, "sh", ...host.command("up", "wg0", "--foreground", "--json")];
      const program = host.start(command);
      await program.line(/"event":"ready"/);
      assert.match(host.read("mounted"), /^nameserver 10\.8\.0\.2$/m);
      program.kill("SIGTERM");
      assert.equal((await program.outcome).code, 0);
      assert.equal(host.read("mounted"), formerResolvers);
    }
  });
});
