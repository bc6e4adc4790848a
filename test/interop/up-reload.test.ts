import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { FullTunnelNetwork } from "./full-tunnel.ts";
import { difference, type ManagedHost } from "./managed-host.ts";
import { ping } from "./ping.ts";

const split = { allowedIps: "10.8.0.0/24, fd08::/64", dns: "10.8.0.2" };
const patienceMs = 20_000;
const other = "[Peer]\nPublicKey = AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\nAllowedIPs = 10.97.0.0/16\n";

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) &&
    requireProgram(t, "ping", "iputils-ping") !== undefined &&
    requireProgram(t, "wg", "wireguard-tools") !== undefined &&
    requireProgram(t, "nft", "nftables") !== undefined
  );
}

async function reload(host: ManagedHost): Promise<void> {
  const { code, stderr } = await host.warren("reload", "wg0");
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
}

async function ask(host: ManagedHost, what: string): Promise<string> {
  return (await host.start(["wg", "show", "wg0", what]).outcome).stdout.trim();
}

describe("warren reload", { concurrency: 2, timeout: 240_000 }, () => {
  test("applies every difference, loses no session, and down still leaves no trace", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    await network.serve();
    const before = await host.state();
    host.configure("wg0", network.file(split));
    const program = await host.up("wg0");
    assert.equal((await ping(host.machine, "10.8.0.2")).received, 1);
    const handshake = await ask(host, "latest-handshakes");
    const running = ping(host.machine, "fd08::2", { count: 60, intervalSeconds: 0.05 });

    host.configure(
      "wg0",
      network.file({ ...split, allowedIps: `${split.allowedIps}, 10.98.0.0/16, 198.51.100.1/32` }) + other,
    );
    await reload(host);
    const routes = (await host.state()).routes4;
    for (const route of ["10.98.0.0/16", "198.51.100.1", "10.97.0.0/16"])
      assert.match(routes, new RegExp(`^${route} dev wg0`, "m"));
    assert.equal((await ping(host.machine, "198.51.100.1")).received, 1, "a network that came with the reload");

    const addresses = "10.8.0.1/24, 10.8.0.7/24, fd08::1/64";
    host.configure(
      "wg0",
      network.file({ addresses, dns: "10.8.0.9", allowedIps: "0.0.0.0/0, ::/0", more: "ListenPort = 5009" }),
    );
    await reload(host);
    const full = await host.state();
    assert.match(full.rules4, /not from all fwmark 0xca6c lookup 51820/);
    assert.match(full.addresses, /wg0 +inet 10\.8\.0\.7\/24/);
    assert.match(full.resolvers, /^nameserver 10\.8\.0\.9$/m);
    assert.doesNotMatch(full.routes4, /10\.9[78]\.0\.0/, "what the file no longer names");
    assert.deepEqual([await ask(host, "listen-port"), await ask(host, "fwmark")], ["5009", "0xca6c"]);
    assert.equal(await network.reached(), 2);
    assert.doesNotMatch(await ask(host, "peers"), /AQIDBAUG/);

    host.configure("wg0", network.file(split));
    await reload(host);
    assert.doesNotMatch((await host.state()).rules4, /0xca6c/);
    const { sent, received } = await running;
    // The port has changed twice, and an answer that was on its way to the former one is lost.
    assert.ok(received >= sent - 2, `${received} of ${sent}`);
    assert.equal(await ask(host, "latest-handshakes"), handshake, "it is the same session");
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.equal((await program.outcome).stderr, "");
    assert.deepEqual(difference(before, await host.state()), {});
  });

  test("hooks that have run already are said to wait for the next up", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    host.configure("wg0", network.file(split));
    const program = await host.up("wg0");
    host.configure("wg0", network.file({ ...split, more: "PostUp = touch /etc/hooked" }));
    await reload(host);
    assert.equal((await host.warren("down", "wg0")).code, 0);
    assert.equal(
      (await program.outcome).stderr,
      "warren: PreUp and PostUp have changed: they run with the next `warren up`\n",
    );
  });

  test("other addresses leave the way through the tunnel as it is all the while", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    await network.serve();
    host.configure("wg0", network.file({}));
    await host.up("wg0");
    const before = await host.state();
    const changes = host.start(["ip", "monitor", "rule", "route"]);
    let isHeard = false; // it takes its time to listen
    const heard = changes.line(/^10\.66\.0\.0/).finally(() => {
      isHeard = true;
    });
    for (let mtu = 1300; !isHeard; mtu++) {
      await host.machine.run("ip", "route", "replace", "10.66.0.0/16", "dev", "lo", "mtu", String(mtu));
    }
    await heard;
    for (const addresses of [
      "10.8.0.1/24, 10.8.0.7/24, fd08::1/64",
      "10.8.0.7/24, fd08::7/64",
      "10.8.0.1/24, fd08::1/64",
    ]) {
      host.configure("wg0", network.file({ addresses }));
      await reload(host);
      assert.match((await host.state()).addresses, new RegExp(`wg0 +inet ${addresses.split(",")[0]}`));
    }
    assert.equal(await network.reached(), 2);
    await host.machine.run("ip", "route", "del", "10.66.0.0/16", "dev", "lo");
    await changes.line(/^Deleted 10\.66\.0\.0/);
    changes.kill("SIGTERM");
    const { stdout } = await changes.outcome;
    assert.match(stdout, /^Deleted .*10\.8\.0\.1/m, "what goes with an address goes");
    assert.doesNotMatch(stdout, /^Deleted .*(default|lookup)/m);
    assert.deepEqual(difference(before, { ...(await host.state()) }), {});
  });

  test("a file that is wrong, or cannot be had, changes nothing and says why", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const text = network.file({ ...split, more: "ListenPort = 5001" });
    host.configure("wg0", text);
    await host.up("wg0");
    const before: Record<string, string> = { ...(await host.state()), wg: await ask(host, "dump") };
    const refused = async (wrong: string, expected: RegExp) => {
      host.configure("wg0", wrong);
      const { code, stderr } = await host.warren("reload", "wg0");
      assert.equal(code, 1);
      assert.match(stderr, expected);
      assert.deepEqual(difference(before, { ...(await host.state()), wg: await ask(host, "dump") }), {});
    };
    await refused(
      `${text}Bad\nMTU = 1\n`,
      /2 mistakes\n {2}line \d+: expected `Key = value`\n {2}line \d+: MTU is not a key of/,
    );
    await refused(
      text.replace("10.8.0.1/24", "10.7.0.1/24, 192.0.2.1/24"),
      /stays as it was: the address 192\.0\.2\.1 is already on eth0/,
    );
    await host.machine.run("ip", "route", "add", "10.55.0.0/16", "dev", "eth0");
    before.routes4 = (await host.state()).routes4;
    const taken = text.replace("10.8.0.0/24", "10.8.0.0/24, 10.44.0.0/16, 10.55.0.0/16").replace("5001", "5004");
    await refused(taken, /stays as it was: RTM_NEWROUTE for 10\.55\.0\.0\/16 .* there is such a route already/);
    using _held = host.machine.namespace.run(() => openUdpSockets({ port: 5009 }));
    const port = text.replace("10.8.0.0/24", "10.8.0.0/24, 10.44.0.0/16").replace("5001", "5009");
    await refused(port, /stays as it was: bind to UDP .*:5009 failed with EADDRINUSE/);
    await refused(
      text.replace("192.0.2.2:", "nowhere.invalid:"),
      /the endpoint's host "nowhere\.invalid" was not found/,
    );
  });

  test("SIGHUP does the same, and what is not up cannot be reloaded", async (t) => {
    if (!isReady(t)) return;
    using network = new FullTunnelNetwork();
    const { host } = network;
    const { code, stderr } = await host.warren("reload", "wg0");
    assert.deepEqual([code, stderr], [1, "warren: wg0 is not up: bring it up with `warren up wg0`\n"]);
    host.configure("wg0", network.file(split));
    const program = await host.up("wg0");
    host.configure("wg0", network.file({ ...split, more: "FwMark = 77" }));
    program.kill("SIGHUP");
    const begun = performance.now();
    while ((await ask(host, "fwmark")) !== "0x4d") {
      assert.ok(performance.now() - begun < patienceMs, "the file was not read again"); // each question takes its time
    }
    program.kill("SIGTERM");
    assert.equal((await program.outcome).code, 0);
  });
});
