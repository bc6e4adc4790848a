/** What `wg` says to warren-wg and hears from it is, line by line, what it says to wireguard-go and hears from that. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { Machine } from "./machine.ts";
import { keyPair, UserspaceWireguard, warrenWg, wg } from "./userspace-wireguard.ts";

const isReady = (t: TestContext) =>
  requireNamespaces(t) &&
  requireProgram(t, "wg", "wireguard-tools") !== undefined &&
  requireProgram(t, "wireguard-go", "wireguard-go") !== undefined;

const us = keyPair(0x51);
const peers = [1, 2, 3].map(keyPair);
const psk = keyPair(9).secret;

const file = [
  "[Interface]",
  `PrivateKey = ${us.secret}`,
  "ListenPort = 4000",
  "FwMark = 0x77",
  "[Peer]",
  `PublicKey = ${peers[0].public}`,
  `PresharedKey = ${psk}`,
  "AllowedIPs = 10.1.0.0/16, fd01::/64",
  "Endpoint = 192.0.2.1:1000",
  "PersistentKeepalive = 25",
  "[Peer]",
  `PublicKey = ${peers[1].public}`,
  "AllowedIPs = 10.2.0.0/16",
  "Endpoint = [2001:db8::1]:1001",
  "",
].join("\n");

const otherFile = [
  "[Interface]",
  `PrivateKey = ${us.secret}`,
  "ListenPort = 4000",
  "[Peer]",
  `PublicKey = ${peers[1].public}`,
  "AllowedIPs = 10.2.0.0/17, 10.3.0.0/16",
  "[Peer]",
  `PublicKey = ${peers[2].public}`,
  "AllowedIPs = 0.0.0.0/0, ::/0",
  "",
].join("\n");

interface Step {
  readonly what: string;
  /** IFACE stands for the interface. */
  readonly command: readonly string[];
  readonly input?: string;
}

const set = (what: string, words: string, input?: string): Step => ({
  what,
  command: ["set", "IFACE", ...words.split(" ")],
  ...(input === undefined ? {} : { input }),
});
const peer = (number: number) => `peer ${peers[number].public}`;

const steps: readonly Step[] = [
  set("a port and a mark", "listen-port 4001 fwmark 0xca6c"),
  set("a private key", "private-key /dev/stdin", us.secret),
  set("a peer", `${peer(0)} allowed-ips 10.1.0.0/16,fd01::/64 endpoint 192.0.2.7:7`),
  set("a peer by an IPv6 endpoint", `${peer(1)} endpoint [2001:db8::7]:7 persistent-keepalive 11`),
  set("a preshared key", `${peer(0)} preshared-key /dev/stdin`, psk),
  set("allowed IPs instead of others", `${peer(0)} allowed-ips 10.9.0.0/16`),
  set("an allowed IP that moves", `${peer(1)} allowed-ips 10.9.0.0/16`),
  set("host bits", `${peer(0)} allowed-ips 10.8.7.6/8`),
  set("no allowed IPs", `${peer(0)} allowed-ips `),
  set("no keepalive", `${peer(1)} persistent-keepalive off`),
  set("no preshared key", `${peer(0)} preshared-key /dev/null`),
  set("no mark", "fwmark off"),
  set("our own key as a peer", `peer ${us.public} allowed-ips 10.7.0.0/16`),
  set("a peer removed", `${peer(1)} remove`),
  set("a peer removed that is not there", `${peer(1)} remove`),
  { what: "a whole file", command: ["setconf", "IFACE", "/dev/stdin"], input: file },
  { what: "more of a file", command: ["addconf", "IFACE", "/dev/stdin"], input: otherFile.replace(/.*\n.*\n.*\n/, "") },
  { what: "another file, peers kept", command: ["syncconf", "IFACE", "/dev/stdin"], input: otherFile },
  set("another private key, which is a peer's", "private-key /dev/stdin", keyPair(3).secret),
  set("no private key", "private-key /dev/null"),
  {
    what: "a file of one line",
    command: ["setconf", "IFACE", "/dev/stdin"],
    input: "[Interface]\nListenPort = 4002\n",
  },
];

/** What is seen of the interface after a step, with its name left out. Peers come in no certain order. */
async function observe(tunnel: UserspaceWireguard): Promise<Record<string, string[]>> {
  const seen: Record<string, string[]> = {};
  for (const what of ["show", "showconf", "show IFACE dump", "show IFACE allowed-ips", "show IFACE endpoints"]) {
    const words = what.includes("IFACE") ? what.split(" ") : [what, "IFACE"];
    const text = await wg(
      tunnel.host,
      words.map((word) => word.replace("IFACE", tunnel.name)),
    );
    const parts = text.replaceAll(tunnel.name, "IFACE").split(words.length === 2 ? /\n(?=peer|\[Peer\])/ : "\n");
    seen[what] = parts.map((part) => part.trim()).sort();
  }
  return seen;
}

test("wg configures and shows warren-wg as it does wireguard-go", { timeout: 120_000 }, async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  using ours = await UserspaceWireguard.start(host);
  using otherHost = new Machine(); // the same ports are to be free
  using theirs = await UserspaceWireguard.start(otherHost, "wireguard-go");
  for (const { what, command, input } of steps) {
    const run = (tunnel: UserspaceWireguard) =>
      wg(
        host,
        command.map((word) => (word === "IFACE" ? tunnel.name : word)),
        input,
      );
    assert.equal((await run(ours)).replace(ours.name, ""), (await run(theirs)).replace(theirs.name, ""), what);
    assert.deepEqual(await observe(ours), await observe(theirs), what);
  }
});

test("a port that is taken is refused, as wireguard-go refuses it", { timeout: 60_000 }, async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  using ours = await UserspaceWireguard.start(host);
  using theirs = await UserspaceWireguard.start(host, "wireguard-go");
  using taken = await UserspaceWireguard.start(host);
  await taken.set(["listen-port", "4005"]);
  host.setUp(taken.name);
  for (const tunnel of [ours, theirs]) {
    host.setUp(tunnel.name);
    const { code, stderr } = await host.start(["wg", "set", tunnel.name, "listen-port", "4005"]).outcome;
    assert.equal(code, 1);
    assert.match(stderr, /Address already in use/, tunnel.name);
  }
});

test("a listening port survives a refusal", { timeout: 60_000 }, async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  using first = await UserspaceWireguard.start(host);
  using second = await UserspaceWireguard.start(host, warrenWg);
  host.setUp(first.name);
  host.setUp(second.name);
  await first.set(["listen-port", "4006"]);
  await second.set(["listen-port", "4007"]);
  await assert.rejects(second.set(["listen-port", "4006"]), /Address already in use/);
  assert.equal(await second.show("listen-port"), "4007\n");
});
