import assert from "node:assert/strict";
import { chmodSync, mkdirSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Sysctl } from "../../src/os/sysctl.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { type FullTunnelFile, FullTunnelNetwork } from "./full-tunnel.ts";
import type { ManagedHost } from "./managed-host.ts";

const warrenWg = fileURLToPath(new URL("../../bin/warren-wg", import.meta.url));

const files: Readonly<Record<string, FullTunnelFile>> = {
  "everything through the tunnel, with DNS": { dns: "10.8.0.2, fd08::2, corp.example" },
  "all of IPv4": { allowedIps: "0.0.0.0/0", addresses: "10.8.0.1/32" },
  "all of IPv6 with a mark": { allowedIps: "::/0, 10.98.0.0/16", more: "FwMark = 0x4d2" },
  "two networks, one of them the tunnel's own": { allowedIps: "10.98.0.0/16, 10.8.0.0/24, 10.8.0.9/32, fd98::/64" },
  "host addresses and an MTU": {
    addresses: "10.8.0.1, fd08::1",
    allowedIps: "10.8.0.2/32, fd08::2/128",
    more: "MTU = 1300",
  },
  "a table by number": { allowedIps: "0.0.0.0/0, ::/0, 10.98.0.0/16", more: "Table = 4242" },
  "no routes": { more: "Table = off" },
};

/** The one that is tried with warren-wg under wg-quick as well. */
const [first] = Object.keys(files);

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) &&
    requireProgram(t, "wg-quick", "wireguard-tools") !== undefined &&
    requireProgram(t, "wireguard-go", "wireguard-go") !== undefined &&
    requireProgram(t, "nft", "nftables") !== undefined
  );
}

/** A resolvconf that writes down how it was called. */
function addResolvconf(host: ManagedHost): string {
  mkdirSync(host.path("bin"));
  host.write(
    "bin/resolvconf",
    `#!/bin/sh\necho "$*" >> ${host.path("calls")}\ncase $1 in -a) cat >> ${host.path("calls")};; esac\n`,
  );
  chmodSync(host.path("bin/resolvconf"), 0o755);
  host.write("calls", "");
  return `${host.path("bin")}:${process.env.PATH}`;
}

/** What a tunnel called wg0 has made of the host, without what its maker cannot help: numbers of interfaces, who wrote a route. */
function findings(host: ManagedHost): unknown {
  const { config, namespace } = host.machine;
  const index = host.machine.indexOf("wg0");
  const isOwn = (text: string) => !/^(fe80|ff00):/.test(text); // wireguard-go's interface gives itself an address
  const routes = config.routes.list().filter(({ device }) => device === index);
  return {
    mtu: config.links.find("wg0")?.mtu,
    addresses: config.addresses
      .list(index)
      .map(({ address }) => String(address))
      .filter(isOwn)
      .sort(),
    routes: routes
      .map((route) => JSON.stringify({ ...route, device: "wg0" }))
      .filter((text) => !/"(fe80|ff00):/.test(text))
      .sort(),
    rules: JSON.parse(JSON.stringify([config.rules.list(4), config.rules.list(6)])),
    mark: namespace.run(() => Sysctl.get("net/ipv4/conf/all/src_valid_mark")),
    resolvconf: host.read("calls"),
  };
}

describe("warren up does what wg-quick up does", { concurrency: 2, timeout: 240_000 }, () => {
  for (const [title, file] of Object.entries(files)) {
    test(title, async (t) => {
      if (!isReady(t)) return;
      const found: Record<string, unknown> = {};
      for (const implementation of ["wireguard-go", ...(title === first ? [warrenWg] : []), undefined]) {
        using network = new FullTunnelNetwork();
        const { host } = network;
        const environment = { PATH: addResolvconf(host), WG_QUICK_USERSPACE_IMPLEMENTATION: implementation ?? "" };
        host.configure("wg0", network.file(file));
        if (implementation === undefined) {
          const warren = host.start(host.command("up", "wg0", "--foreground", "--json"), environment);
          await warren.line(/"event":"ready"/);
        } else {
          const { code, stderr } = await host.start(["wg-quick", "up", "wg0"], environment).outcome;
          assert.equal(code, 0, stderr);
        }
        found[implementation ?? "warren up"] = findings(host);
        host.machine.config.links.delete(host.machine.indexOf("wg0")); // ends whichever it is
      }
      const expected = found["wireguard-go"];
      assert.deepEqual(found["warren up"], expected);
      if (title === first) assert.deepEqual(found[warrenWg], expected);
    });
  }
});
