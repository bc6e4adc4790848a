import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { PrivateKey } from "../../src/base/keys.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces } from "../requirements.ts";
import { Machine, type Outcome } from "./machine.ts";
import { forwardingOf } from "./underlay.ts";
import { WarrenProcess, warrenCommand } from "./warren-process.ts";

const port = 5001;

function config(more = ""): string {
  const key = new PrivateKey(randomBytes(32)).reveal();
  return `[Interface]\nPrivateKey = ${key}\nListenPort = ${port}\nAddress = 10.8.0.1/24, fd08::1/64\n${more}`;
}

const up = (name = "wg0") => warrenCommand([], "up", "-", "--name", name, "--foreground", "--json", "--forward");

/** Fails unless the program said in one line what was wrong and what to do, with exit code 1, and made nothing. */
async function refuses(host: Machine, command: readonly string[], expected: RegExp, input = config()): Promise<void> {
  const before = stateOf(host);
  const { code, stdout, stderr }: Outcome = await host.start(command, input).outcome;
  assert.match(stderr, /^warren: [^\n]+\n$/, "one line");
  assert.match(stderr, expected);
  assert.equal(stdout, "");
  assert.equal(code, 1);
  assert.deepEqual(stateOf(host), before);
}

function stateOf(host: Machine): unknown {
  return {
    links: host.config.links.list(),
    routes: JSON.stringify(host.config.routes.list()),
    forwarding: forwardingOf(host),
  };
}

function onHost(title: string, run: (host: Machine) => Promise<void>): void {
  test(title, async (t: TestContext) => {
    if (!requireNamespaces(t)) return;
    using host = new Machine();
    await run(host);
  });
}

describe("a tunnel that cannot start says why, and leaves nothing", { concurrency: 2, timeout: 240_000 }, () => {
  onHost("the port is taken", async (host) => {
    using _taken = host.namespace.run(() => openUdpSockets({ port }));
    await refuses(host, up(), /bind to UDP 0\.0\.0\.0:5001 failed with EADDRINUSE: choose another ListenPort/);
  });

  onHost("the name is taken", async (host) => {
    const running = await WarrenProcess.start(host, "wg0", config());
    await refuses(host, up(), /wg0 is up already \(process [0-9]+\): end it with `warren down wg0`, or choose another/);
    await refuses(
      host,
      up("lo"),
      /there is a network interface lo already \(TUNSETIFF: EINVAL\): choose another name\n$/,
    );
    assert.equal((await running.stop()).code, 0);
  });

  onHost("nobody allows it", async (host) => {
    const bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]; // root in name only
    await refuses(
      host,
      [...bare, ...up()],
      /cannot make a network interface \(TUNSETIFF: EPERM\): run as root or with CAP_NET_ADMIN/,
    );
  });

  onHost("there is no /dev/net/tun", async (host) => {
    const without = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"];
    await refuses(host, [...without, ...up()], /open of \/dev\/net\/tun failed with ENOENT: load the module/);
  });

  onHost("the file is wrong", async (host) => {
    await refuses(host, up(), /standard input: line 1: .*PrivateKey/, "[Interface]\n");
    await refuses(host, up(), /standard input: line 5: .*Nonsense/, config("Nonsense = 1\n"));
  });

  onHost("an address is refused by the kernel", async (host) => {
    await refuses(host, up(), /10\.8\.0\.1\/24/, config("Address = 10.8.0.1/24\n"));
  });

  onHost("two peers have one key", async (host) => {
    const peer = `[Peer]\nPublicKey = ${randomBytes(32).toString("base64")}\nAllowedIPs = 10.8.0.2/32\n`;
    await refuses(host, up(), /line [0-9]+: the peer of line [0-9]+ again: join the two sections/, config(peer + peer));
  });
});
