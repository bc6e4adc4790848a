import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { FullTunnelNetwork } from "./full-tunnel.ts";
import type { Program } from "./machine.ts";
import { difference, type ManagedHost } from "./managed-host.ts";
import { warrenCommand } from "./warren-process.ts";

const unit = readFileSync(new URL("../../contrib/systemd/warren@.service", import.meta.url), "utf8");

/** What the unit sets, the last of several; comments are none. */
function setting(name: string): string {
  return (
    unit
      .match(new RegExp(`^${name}=(.*)$`, "gm"))
      ?.at(-1)
      ?.slice(name.length + 1) ?? assert.fail(`no ${name}`)
  );
}

/**
 * Starts `warren up wg0` as the unit does, as far as that goes without systemd: with its capabilities and no way to more
 * of them, its environment, and a file system that is read-only but for what it names.
 */
function startUnit(host: ManagedHost): Program {
  const capabilities = setting("CapabilityBoundingSet")
    .split(" ")
    .map((name) => name.replace("CAP_", "+").toLowerCase());
  const readOnly = 'mount --bind "$1" "$1"; mount -o remount,bind,ro /; shift';
  const nameServers = "mount --bind /etc/resolv.conf /etc/resolv.conf; mount -o remount,bind,ro /etc";
  const least = `setpriv --no-new-privs --bounding-set=-all,${capabilities.join(",")}`;
  const variables = [...unit.matchAll(/^Environment=(WARREN_.*)$/gm)].map(([, variable]) => variable);
  const script = `set -e; ${nameServers}; ${readOnly}; exec env ${variables.join(" ")} ${least} -- "$@"`;
  return host.start([
    "sh",
    "-c",
    script,
    "sh",
    host.folder,
    ...warrenCommand([], "up", "wg0", "--foreground", "--json"),
  ]);
}

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) &&
    requireProgram(t, "nft", "nftables") !== undefined &&
    requireProgram(t, "ping", "iputils-ping") !== undefined
  );
}

test("a full tunnel with DNS comes up with what the unit leaves it, and goes without a trace", {
  timeout: 240_000,
}, async (t) => {
  if (!isReady(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  await network.serve();
  host.configure("wg0", network.file({ dns: "10.8.0.2" }));
  const before = await host.state();
  const program = startUnit(host);
  await program.line(/"event":"ready"/);
  assert.equal(await network.reached(), 2);
  assert.match(host.read("etc/resolv.conf"), /nameserver 10\.8\.0\.2/);
  program.kill("SIGTERM");
  assert.equal((await program.outcome).code, 0);
  assert.deepEqual(difference(before, await host.state()), {});
});

test("a configuration with hooks is refused, and the remedy is the unit's drop-in", { timeout: 240_000 }, async (t) => {
  if (!isReady(t)) return;
  using network = new FullTunnelNetwork();
  const { host } = network;
  host.configure("wg0", network.file({ more: "PostUp = true" }));
  const { code, stderr } = await startUnit(host).outcome;
  assert.equal(code, 1);
  assert.match(stderr, /^warren: \S+wg0\.conf holds commands .*a drop-in with Environment=WARREN_HOOKS=allow\n$/);
});

test("the unit gives one capability, and keeps what the hardening promises", () => {
  const expected = {
    Type: "notify",
    ExecReload: "/bin/kill -HUP $MAINPID",
    CapabilityBoundingSet: "CAP_NET_ADMIN",
    NoNewPrivileges: "yes",
    PrivateTmp: "yes",
    ProtectSystem: "strict",
    RuntimeDirectoryPreserve: "yes", // else the journal would be gone when it is needed
  };
  const found = Object.fromEntries(Object.keys(expected).map((name) => [name, setting(name)]));
  assert.deepEqual(found, expected);
  assert.match(unit, /^Environment=WARREN_HOOKS=refuse$/m);
});
