import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { type ConversationOptions, converse } from "../../../src/tunnel/uapi.ts";
import { ConfigurableTunnel, peerKey } from "./configurable-tunnel.ts";

const secret = "58".repeat(32);
const psk = "a7".repeat(32);
const ourKey = new PublicKey(native.publicKey(Buffer.from(secret, "hex"))).hex;

/** What a tunnel answers to all of that, read in pieces of so many bytes. */
async function ask(
  tunnel: ConfigurableTunnel,
  text: string,
  options: Partial<ConversationOptions> & { pieces?: number } = {},
): Promise<string> {
  const { pieces = 4096, ...more } = options;
  const bytes = Buffer.from(text, "latin1");
  let answer = "";
  async function* input() {
    for (let at = 0; at < bytes.length; at += pieces) yield await Promise.resolve(bytes.subarray(at, at + pieces));
  }
  const write = (part: Uint8Array) => {
    answer += Buffer.from(part).toString("latin1");
    return Promise.resolve();
  };
  await converse(input(), { tunnel, write, indexOf: (name) => (name === "eth0" ? 7 : undefined), ...more });
  return answer;
}

const configuration = [
  "set=1",
  `private_key=${secret}`,
  "listen_port=12345",
  "fwmark=51820",
  "replace_peers=true",
  `public_key=${peerKey(1)}`,
  `preshared_key=${psk}`,
  "protocol_version=1",
  "endpoint=192.0.2.1:51820",
  "persistent_keepalive_interval=25",
  "replace_allowed_ips=true",
  "allowed_ip=10.8.0.7/24",
  "allowed_ip=fd08::/64",
  `public_key=${peerKey(2)}`,
  "endpoint=[fe80::1%eth0]:51821",
  "allowed_ip=0.0.0.0/0",
  "",
  "",
].join("\n");

const description = [
  `private_key=${secret}`,
  "listen_port=12345",
  "fwmark=51820",
  `public_key=${peerKey(1)}`,
  `preshared_key=${psk}`,
  "protocol_version=1",
  "endpoint=192.0.2.1:51820",
  "last_handshake_time_sec=0",
  "last_handshake_time_nsec=0",
  "tx_bytes=0",
  "rx_bytes=0",
  "persistent_keepalive_interval=25",
  "allowed_ip=10.8.0.0/24",
  "allowed_ip=fd08::/64",
  `public_key=${peerKey(2)}`,
  `preshared_key=${"0".repeat(64)}`,
  "protocol_version=1",
  "endpoint=[fe80::1%7]:51821",
  "last_handshake_time_sec=0",
  "last_handshake_time_nsec=0",
  "tx_bytes=0",
  "rx_bytes=0",
  "persistent_keepalive_interval=0",
  "allowed_ip=0.0.0.0/0",
  "errno=0",
  "",
  "",
].join("\n");

test("what was set is got, however the bytes are cut", async () => {
  for (const pieces of [1, 2, 77, 4096]) {
    const tunnel = new ConfigurableTunnel();
    const answer = await ask(tunnel, `${configuration}get=1\n\n`, { pieces });
    assert.equal(answer, `errno=0\n\n${description}`, `${pieces} bytes at a time`);
  }
});

test("a tunnel without anything says nothing but errno", async () => {
  assert.equal(await ask(new ConfigurableTunnel(), "get=1\n\n"), "errno=0\n\n");
});

test("times and counters are told in the units of the protocol", async () => {
  const tunnel = new ConfigurableTunnel();
  await ask(tunnel, configuration);
  tunnel.put(1, {
    lastHandshakeAt: 1_700_000_000_123.5,
    sentBytes: 2 ** 40,
    endpoint: Endpoint.parse("[2001:db8::1]:1"),
  });
  const answer = await ask(tunnel, "get=1\n\n");
  assert.match(
    answer,
    /\nlast_handshake_time_sec=1700000000\nlast_handshake_time_nsec=123000000\ntx_bytes=1099511627776\n/,
  );
  assert.match(answer, /\nendpoint=\[2001:db8::1\]:1\n/);
});

test("a private key is kept clamped", async () => {
  const tunnel = new ConfigurableTunnel();
  await ask(tunnel, `set=1\nprivate_key=${"ff".repeat(32)}\n\n`);
  assert.equal(await ask(tunnel, "get=1\n\n"), `private_key=f8${"ff".repeat(30)}7f\nerrno=0\n\n`);
});

test("zero keys, ports and marks mean none", async () => {
  const tunnel = new ConfigurableTunnel();
  const none = "0".repeat(64);
  await ask(tunnel, configuration);
  const zeros = `private_key=${none}\nlisten_port=0\nfwmark=0\npublic_key=${peerKey(1)}\npreshared_key=${none}\n`;
  assert.equal(await ask(tunnel, `set=1\n${zeros}persistent_keepalive_interval=0\n\n`), "errno=0\n\n");
  assert.deepEqual([tunnel.privateKey, tunnel.port, tunnel.mark], [undefined, 0, 0]);
  assert.equal(tunnel.peer(1)?.presharedKey.isNone, true);
  assert.equal(tunnel.peer(1)?.persistentKeepaliveSeconds, 0);
  assert.equal(tunnel.peer(1)?.endpoint?.toString(), "192.0.2.1:51820", "what was not named stays");
});

test("allowed IPs are added, taken away and replaced in the order of the lines", async () => {
  const tunnel = new ConfigurableTunnel();
  const allowed = async (...lines: string[]) => {
    assert.equal(await ask(tunnel, ["set=1", `public_key=${peerKey(3)}`, ...lines, "", ""].join("\n")), "errno=0\n\n");
    return [...(tunnel.peer(3)?.allowedIps ?? [])].join(" ");
  };
  assert.equal(await allowed("allowed_ip=10.0.0.0/8", "allowed_ip=10.1.0.0/16"), "10.0.0.0/8 10.1.0.0/16");
  assert.equal(await allowed("allowed_ip=-10.0.0.0/8"), "10.1.0.0/16");
  assert.equal(await allowed("allowed_ip=-10.1.0.0/16", "allowed_ip=10.1.0.0/16"), "10.1.0.0/16");
  assert.equal(await allowed("allowed_ip=10.2.0.0/16", "allowed_ip=-10.2.0.0/16"), "10.1.0.0/16");
  assert.equal(await allowed("allowed_ip=10.3.0.0/16", "replace_allowed_ips=true", "allowed_ip=fd00::/8"), "fd00::/8");
  assert.equal(await allowed("replace_allowed_ips=true"), "");
});

test("peers are removed, not created where only updates are wanted, and never ourselves", async () => {
  const tunnel = new ConfigurableTunnel();
  await ask(tunnel, configuration);
  const keys = () => [...tunnel.peers()].map(({ publicKey }) => publicKey.hex);
  const change = (...lines: string[]) => ask(tunnel, ["set=1", ...lines, "", ""].join("\n"));
  assert.equal(await change(`public_key=${peerKey(2)}`, "remove=true", "allowed_ip=1.0.0.0/8"), "errno=0\n\n");
  assert.deepEqual(keys(), [peerKey(1)]);
  const lines = ["update_only=true", "endpoint=192.0.2.9:9", "allowed_ip=1.0.0.0/8"];
  assert.equal(await change(`public_key=${peerKey(2)}`, ...lines), "errno=0\n\n");
  assert.deepEqual(keys(), [peerKey(1)]);
  assert.equal(await change(`public_key=${peerKey(1)}`, ...lines), "errno=0\n\n");
  assert.equal(tunnel.peer(1)?.endpoint?.toString(), "192.0.2.9:9");
  assert.equal(await change(`public_key=${ourKey}`, "allowed_ip=2.0.0.0/8"), "errno=0\n\n");
  assert.deepEqual(keys(), [peerKey(1)]);
  assert.equal(await change("replace_peers=true", `public_key=${peerKey(5)}`), "errno=0\n\n");
  assert.deepEqual(keys(), [peerKey(5)]);
});

test("what is wrong is answered with its errno; what stood before stays, the rest is not done", async () => {
  const peer = `public_key=${peerKey(1)}`;
  for (const [lines, errno] of [
    [["private_key=12"], 22],
    [[`private_key=${"g".repeat(64)}`], 22],
    [["listen_port=65536"], 22],
    [["listen_port=-1"], 22],
    [["listen_port="], 22],
    [["listen_port=1"], 98],
    [["fwmark=0x10"], 22],
    [["fwmark=4294967296"], 22],
    [["replace_peers=false"], 22],
    [["allowed_ip=10.0.0.0/8"], 22],
    [["public_key=00"], 22],
    [["nonsense=1"], 22],
    [["nonsense"], 71],
    [[peer, "listen_port=1"], 22],
    [[peer, "private_key=00"], 22],
    [[peer, "preshared_key=00"], 22],
    [[peer, "endpoint=192.0.2.1"], 22],
    [[peer, "endpoint=example.org:51820"], 22],
    [[peer, "endpoint=[fe80::1%eth9]:51820"], 22],
    [[peer, "endpoint=192.0.2.1:65536"], 22],
    [[peer, "persistent_keepalive_interval=65536"], 22],
    [[peer, "allowed_ip=10.0.0.0"], 22],
    [[peer, "allowed_ip=10.0.0.0/33"], 22],
    [[peer, "allowed_ip=+10.0.0.0/8"], 22],
    [[peer, "replace_allowed_ips=1"], 22],
    [[peer, "remove=yes"], 22],
    [[peer, "update_only=1"], 22],
    [[peer, "protocol_version=2"], 22],
    [[peer, `endpoint=${"1".repeat(300)}`], 71],
  ] satisfies [string[], number][]) {
    const tunnel = new ConfigurableTunnel();
    const log: string[] = [];
    const text = ["set=1", "fwmark=7", ...lines, `public_key=${peerKey(9)}`, "", ""].join("\n");
    const answer = await ask(tunnel, `${text}get=1\n\n`, { pieces: 16, log: (line) => log.push(line) });
    assert.match(answer, new RegExp(`^errno=-${errno}\n\n`), lines.join());
    assert.equal(tunnel.mark, 7, lines.join());
    assert.equal(tunnel.peer(9), undefined, lines.join());
    assert.equal(tunnel.peer(1) !== undefined, lines[0] === peer, lines.join());
    assert.equal(log.length, 1);
    assert.doesNotMatch(log.join(), /gggg/, "keys are not logged");
    // The conversation goes on, unless nobody can say where a line without end ends.
    assert.equal(/\nfwmark=7\n.*errno=0\n\n$/s.test(answer), !lines.join().includes("1111"), lines.join());
  }
});

test("what the tunnel cannot do is answered at the end of the set", async () => {
  const tunnel = new ConfigurableTunnel();
  tunnel.maximumPeers = 1;
  const peers = [1, 2].map((number) => `public_key=${peerKey(number)}\n`).join("");
  assert.equal(await ask(tunnel, `set=1\n${peers}\nget=1\n\n`).then((answer) => answer.split("\n")[0]), "errno=-22");
  assert.match(await ask(tunnel, `set=1\n${peers}\nget=1\n\n`), /^errno=-22\n\npublic_key=0*1\n.*\nerrno=0\n\n$/s);
});

test("peers without allowed IPs are all told", async () => {
  const tunnel = new ConfigurableTunnel();
  const peers = Array.from({ length: 1000 }, (_, i) => `public_key=${peerKey(i)}\n`).join("");
  const answer = await ask(tunnel, `set=1\n${peers}\nget=1\n\n`);
  assert.equal(answer.match(/^public_key=/gm)?.length, 1000);
  assert.equal(answer.match(/^persistent_keepalive_interval=0$/gm)?.length, 1000);
});

test("a get takes no lines, and what is no operation ends the conversation without an answer", async () => {
  const tunnel = new ConfigurableTunnel();
  assert.equal(await ask(tunnel, "get=1\nfwmark=1\n\nget=1\n\n"), "errno=-22\n\nerrno=0\n\n");
  for (const operation of ["get=2", "set=2", "", "GET / HTTP/1.1", "warren=status", "warren=constructor"]) {
    assert.equal(await ask(tunnel, `${operation}\n\nget=1\n\n`, { operations: {} }), "", operation);
  }
});

test("a set that ends with the stream counts, half a line does not", async () => {
  const tunnel = new ConfigurableTunnel();
  const lines = `set=1\npublic_key=${peerKey(1)}\nallowed_ip=10.1.0.0/1`;
  assert.equal(await ask(tunnel, lines), "errno=-71\n\n");
  assert.deepEqual(tunnel.peer(1)?.allowedIps, []);
  assert.equal(await ask(tunnel, `${lines}6\n`), "errno=0\n\n");
  assert.equal(String([...(tunnel.peer(1)?.allowedIps ?? [])]), "10.1.0.0/16");
  assert.equal(await ask(tunnel, "get=1\n"), "");
});

test("a tunnel's own operations answer in JSON, and say what went wrong", async () => {
  const tunnel = new ConfigurableTunnel();
  const operations = {
    status: () => ({ name: "wg0", text: "two\nlines" }),
    reload: () => Promise.reject(new Error("no file")),
  };
  const answer = await ask(tunnel, "warren=status\n\nwarren=reload\n\n", { operations });
  assert.equal(answer, `result={"name":"wg0","text":"two\\nlines"}\nerrno=0\n\nerror="Error: no file"\nerrno=-5\n\n`);
});

test("sixty-five thousand allowed IPs are applied in portions, and told again", async () => {
  const tunnel = new ConfigurableTunnel();
  const lines = Array.from({ length: 65_000 }, (_, i) => `allowed_ip=10.${i >> 8}.${i & 255}.0/24`);
  const settings = ["endpoint=192.0.2.1:9", `preshared_key=${psk}`, "persistent_keepalive_interval=9"];
  const text = ["set=1", `public_key=${peerKey(1)}`, ...settings, ...lines, "", ""].join("\n");
  assert.equal(await ask(tunnel, text, { pieces: 65_536 }), "errno=0\n\n");
  assert.ok(tunnel.calls.length > 60);
  const portions = tunnel.calls.map((call) => Number(call.split(" ")[1]));
  assert.ok(Math.max(...portions) <= 1024);
  const settingsOf = tunnel.calls.map((call) => Number(call.split(" ")[2]));
  assert.deepEqual([settingsOf[0], Math.max(...settingsOf.slice(1))], [3, 0], "the settings are made once");
  const parts: number[] = [];
  let answer = "";
  const write = (part: Uint8Array) => {
    parts.push(part.length);
    answer += Buffer.from(part).toString("latin1");
    return Promise.resolve();
  };
  await ask(tunnel, "get=1\n\n", { write });
  assert.equal(answer.match(/^allowed_ip=/gm)?.length, 65_000);
  assert.ok(Math.max(...parts) <= 32 * 1024);
});

test("what was read and written is overwritten: there are keys in it", async () => {
  const tunnel = new ConfigurableTunnel();
  const pieces = [configuration.slice(0, 50), configuration.slice(50), "get=1\n\n"].map((text) => Buffer.from(text));
  const written: Uint8Array[] = [];
  const write = (part: Uint8Array) => {
    written.push(part);
    return Promise.resolve();
  };
  async function* input() {
    for (const piece of pieces) yield await Promise.resolve(piece);
  }
  await converse(input(), { tunnel, write, indexOf: () => 7 });
  for (const piece of pieces) assert.ok(piece.every((byte) => byte === 0));
  assert.equal(written.length, 3);
  assert.ok(written[1].length > 500 && written[1].every((byte) => byte === 0));
});
