import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Cidr } from "../../src/base/address.ts";
import { PrivateKey } from "../../src/base/keys.ts";
import { native } from "../../src/crypto/native.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { hostSetup } from "../../src/tunnel/host-setup.ts";
import { Tunnel, type TunnelOptions } from "../../src/tunnel/tunnel.ts";
import { mac1KeyOf } from "../../src/wireguard/cookies.ts";
import { Initiation } from "../../src/wireguard/messages.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { serveIperf } from "./iperf-server.ts";
import type { Machine } from "./machine.ts";
import { slowdown } from "./patience.ts";
import { ping } from "./ping.ts";
import { inside, publicKeyOf, TunnelPair } from "./tunnel-pair.ts";
import { endpointOf, forwardingOf, Underlay } from "./underlay.ts";
import type { Stopped } from "./warren-process.ts";
import { requireWireguardGo } from "./wireguard-go.ts";

const program = "wireguard-go";
const soonMs = 1000;

interface Ending {
  readonly title: string;
  /** The thread that is to fail. */
  readonly faultIn?: "main" | "outbound" | "inbound";
  readonly act: (pair: TunnelPair) => void;
  readonly code: number | null;
  readonly stderr: RegExp;
}

const oneLine = (text: string) => new RegExp(`^warren: [^\\n]*${text}[^\\n]*\\n$`);
const fault = (pair: TunnelPair) => pair.warren.program.kill("SIGUSR2");

const endings: readonly Ending[] = [
  { title: "SIGINT", act: (pair) => pair.warren.program.kill("SIGINT"), code: 0, stderr: /^$/ },
  { title: "SIGTERM", act: (pair) => pair.warren.program.kill("SIGTERM"), code: 0, stderr: /^$/ },
  { title: "a throw in main", faultIn: "main", act: fault, code: 1, stderr: /Error: deliberate/ },
  {
    title: "a throw in the outbound worker",
    faultIn: "outbound",
    act: fault,
    code: 1,
    stderr: oneLine("a ring in shared memory"),
  },
  {
    title: "a throw in the inbound worker",
    faultIn: "inbound",
    act: (pair) => {
      fault(pair);
      sendInitiation(pair);
      // The signal may take effect after the first.
      const again = setInterval(() => sendInitiation(pair), 100);
      void pair.warren.program.outcome.finally(() => clearInterval(again));
    },
    code: 1,
    stderr: oneLine("a ring in shared memory"),
  },
  {
    title: "the interface deleted from outside",
    act: (pair) => pair.left.config.links.delete(pair.left.indexOf("wg0")),
    code: 1,
    stderr: oneLine("bring the tunnel up again"),
  },
];

/** What looks like an initiation until it is opened: the inbound worker checks mac1 before it looks at the ring. */
function sendInitiation(pair: TunnelPair): void {
  using sockets = pair.right.namespace.run(() => openUdpSockets({ port: 0 }));
  const message = new Uint8Array(Initiation.size);
  message[0] = Initiation.type;
  const key = mac1KeyOf(native, publicKeyOf(pair.keys.warren));
  message.set(native.mac(key, message.subarray(0, Initiation.mac1)), Initiation.mac1);
  assert.equal(sendDatagram(sockets, message, endpointOf("left", 4, pair.warren.port)), 0);
}

/** All that a tunnel may change on a host. */
async function stateOf(host: Machine): Promise<unknown> {
  const own = [host.indexOf("lo"), host.indexOf("eth0")]; // these get and lose routes by themselves
  return {
    links: host.config.links.list().map(({ name }) => name),
    routes: host.config.routes.list().filter(({ device }) => device !== undefined && !own.includes(device)),
    rules: JSON.stringify([host.config.rules.list(4), host.config.rules.list(6)]),
    forwarding: forwardingOf(host),
    nftables: await host.run("nft", "list", "ruleset"),
  };
}

/** TCP both ways at once, running when this resolves. */
async function load(pair: TunnelPair): Promise<void> {
  await serveIperf(pair.right);
  const client = pair.left.start([
    "iperf3",
    "--client",
    inside.right[4],
    "--bidir",
    "--time",
    "60",
    "--interval",
    "0.1",
    "--forceflush",
  ]);
  for (let intervals = 0; intervals < 4; intervals++) await client.line(/bits\/sec/);
}

function isReady(t: TestContext): boolean {
  return (
    requireNamespaces(t) &&
    requireWireguardGo(t, program) &&
    requireProgram(t, "iperf3", "iperf3") !== undefined &&
    requireProgram(t, "nft", "nftables") !== undefined
  );
}

describe("under load, a tunnel ends within a second and leaves nothing", { timeout: 240_000 }, () => {
  for (const { title, faultIn, act, code, stderr } of endings) {
    test(title, async (t) => {
      if (!isReady(t)) return;
      const preload = new URL("./fault.ts", import.meta.url);
      preload.searchParams.set("in", faultIn ?? "");
      using underlay = new Underlay();
      underlay.left.namespace.run(() => Sysctl.set("net/ipv4/ip_forward", 0)); // it began with the machine's own
      const before = await stateOf(underlay.left);
      using pair = await TunnelPair.open({
        program,
        underlay,
        arguments: ["--forward"],
        ownSockets: true,
        nodeArguments: faultIn === undefined ? [] : ["--import", preload.href],
      });
      assert.notDeepEqual(await stateOf(pair.left), before);
      await load(pair);
      const mostMs = soonMs * slowdown(); // with that load, not without
      const end: Stopped = await pair.warren.endedBy(() => act(pair));
      assert.equal(end.code, code, end.stderr);
      assert.match(end.stderr, stderr);
      assert.ok(end.elapsedMs < mostMs, `it took ${end.elapsedMs} ms, not ${mostMs}`);
      assert.deepEqual(await stateOf(pair.left), before);
    });
  }
});

test("a killed tunnel leaves neither its interface nor its table", { timeout: 240_000 }, async (t) => {
  if (!isReady(t)) return;
  using pair = await TunnelPair.open({ program, arguments: ["--forward"] });
  assert.match(await pair.left.run("nft", "list", "ruleset"), /table inet warren-wg0/);
  assert.equal((await pair.warren.stop("SIGKILL")).signal, "SIGKILL");
  assert.equal(pair.left.config.links.find("wg0"), undefined);
  assert.equal(await pair.left.run("nft", "list", "ruleset"), "");
});

test("two tunnels in one process close independently", { timeout: 240_000 }, async (t) => {
  if (!requireNamespaces(t) || requireProgram(t, "ping", "iputils-ping") === undefined) return;
  using underlay = new Underlay();
  await using first = await openBothEnds(underlay, 1);
  await using second = await openBothEnds(underlay, 2);
  const answers = async (tunnel: number) => (await ping(underlay.left, `10.8.${tunnel}.2`)).received;
  assert.deepEqual([await answers(1), await answers(2)], [1, 1]);
  await first.left.close();
  assert.deepEqual(namesOf(underlay.left), ["lo", "eth0", "wg2"]);
  assert.deepEqual(namesOf(underlay.right), ["lo", "eth0", "wg1", "wg2"]);
  assert.equal(await answers(2), 1);
  await first.right.close();
  await first.right.close(); // harmless
  assert.equal(await answers(2), 1);
  await second.left.close();
  await second.right.close();
  assert.deepEqual(namesOf(underlay.right), ["lo", "eth0"]);
});

function namesOf(host: Machine): string[] {
  return host.config.links.list().map(({ name }) => name);
}

interface BothEnds extends AsyncDisposable {
  readonly left: Tunnel;
  readonly right: Tunnel;
}

/** A tunnel between the hosts, both ends of which run in this process. */
async function openBothEnds(underlay: Underlay, number: number): Promise<BothEnds> {
  await using undo = new AsyncDisposableStack();
  const keys = { left: PrivateKey.parse(`${number}1`.repeat(32)), right: PrivateKey.parse(`${number}2`.repeat(32)) };
  const port = 6000 + number;
  const options = (side: "left" | "right", other: "left" | "right"): TunnelOptions => ({
    name: `wg${number}`,
    privateKey: keys[side],
    listenPort: port,
    setUp: hostSetup({ addresses: [Cidr.parse(`10.8.${number}.${side === "left" ? 1 : 2}/24`)] }),
    peers: [
      {
        publicKey: publicKeyOf(keys[other]),
        endpoint: endpointOf(other, 4, port),
        allowedIps: [Cidr.parse(`10.8.${number}.0/24`)],
      },
    ],
  });
  const left = undo.use(await openInside(underlay.left, options("left", "right")));
  const right = undo.use(await openInside(underlay.right, options("right", "left")));
  const ends = undo.move();
  return { left, right, [Symbol.asyncDispose]: () => ends.disposeAsync() };
}

async function openInside(host: Machine, options: TunnelOptions): Promise<Tunnel> {
  let opening: Promise<Tunnel> | undefined;
  host.namespace.run(() => {
    opening = Tunnel.open(options); // what belongs to the namespace is made before its first await
  });
  return (await opening) ?? assert.fail("not reached");
}
