import assert from "node:assert/strict";
import { test } from "node:test";
import { VpnError } from "../../../src/base/errors.ts";
import { native } from "../../../src/crypto/native.ts";
import { parseConfigFile } from "../../../src/tunnel/config-file.ts";
import { hasPaths, wayText } from "../../../src/tunnel/path-keeper.ts";
import { parseEndpointName } from "../../../src/tunnel/peer-section.ts";

const key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const other = "IB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE=";
const minimal = `[Interface]\nPrivateKey = ${key}\n`;

/** What is complained of, without the secrets that no complaint may quote. */
function complaint(text: string): string {
  try {
    parseConfigFile(text);
  } catch (error) {
    assert.ok(error instanceof VpnError && error.code === "invalid-configuration");
    assert.doesNotMatch(error.message, /AQIDBAUG|IB8eHRwb/);
    return error.message;
  }
  assert.fail("the file was accepted");
}

test("a whole file is read, whatever its case, spaces, comments and line ends", () => {
  const file = parseConfigFile(
    [
      "\uFEFF# a comment",
      "[interface]",
      `privatekey=${key} # mine`,
      "\tAddress = 10.8.0.2/24, fd08::2/64",
      "Address = 10.9.0.2 10.9.0.3/32",
      "ListenPort = 51820",
      "MTU = 1400",
      "ClampMss = false",
      "FwMark = 0xca6c",
      "Table = off",
      "DNS = 10.8.0.1, fd08::1 corp.example",
      "DNS = lan",
      "PreUp = echo a = b, c",
      "PostUp = one",
      "postup = two %i",
      "PreDown = three",
      "PostDown = four",
      "SaveConfig = TRUE",
      "[Peer]",
      `PublicKey = ${key}`,
      `PresharedKey = ${other}`,
      "AllowedIPs = 10.8.0.77/24,fd08::1/128",
      "Endpoint = [2001:db8::1]:51820",
      "PersistentKeepalive = 25",
      "[PEER]",
      `PublicKey = ${other}`,
      "Endpoint = vpn.example.org:443",
      "PersistentKeepalive = off",
    ].join("\r\n"),
  );
  const { privateKey, addresses, resolvers, ...rest } = file.interface;
  assert.equal(privateKey?.reveal(), key);
  assert.deepEqual(addresses.map(String), ["10.8.0.2/24", "fd08::2/64", "10.9.0.2/32", "10.9.0.3/32"]);
  assert.deepEqual(resolvers.map(String), ["10.8.0.1", "fd08::1"]);
  assert.deepEqual(rest, {
    listenPort: 51820,
    mtu: 1400,
    clampMss: false,
    mark: 0xca6c,
    table: { kind: "off" },
    searchDomains: ["corp.example", "lan"],
    hooks: { preUp: ["echo a = b, c"], postUp: ["one", "two %i"], preDown: ["three"], postDown: ["four"] },
    listen: [],
    saveConfig: true,
  });
  assert.deepEqual(file.remarks, []);
  const [first, second] = file.peers;
  assert.equal(first.publicKey.toString(), key);
  assert.equal(first.presharedKey?.reveal(), other);
  assert.deepEqual(first.allowedIps.map(String), ["10.8.0.0/24", "fd08::1/128"]);
  assert.deepEqual(first.endpoint, { host: "2001:db8::1", port: 51820 });
  assert.equal(first.persistentKeepaliveSeconds, 25);
  assert.deepEqual(second.endpoint, { host: "vpn.example.org", port: 443 });
  assert.equal(second.persistentKeepaliveSeconds, 0);
});

test("all wrong lines are named at once, each with what was expected", () => {
  const message = complaint(
    ["[Interface]", "PrivateKey = abc", "MTU = 99999", "Address", "Port = 5", "Address ="].join("\n"),
  );
  assert.match(message, /line 2: PrivateKey: not a private key: .*genkey/);
  assert.match(message, /line 3: MTU: "99999" is not a number from 576 to 65455/);
  assert.match(message, /line 4: expected `Key = value`/);
  assert.match(message, /line 5: Port is not a key of \[Interface\]/);
  assert.match(message, /line 6: Address has no value/);
  assert.doesNotMatch(message, /lacks/, "the key that was wrong is not missed as well");
});

test("a peer may have several endpoints, streams among them, in the order of preference", () => {
  const peerOf = (...lines: string[]) =>
    parseConfigFile([minimal, "[Peer]", `PublicKey = ${other}`, ...lines].join("\n")).peers[0];
  const { ways, endpoint, trust } = peerOf(
    "Endpoint = tls://vpn.example, 192.0.2.1:51820",
    "Endpoint = udp://[2001:db8::1]:53 wss://vpn.example:8443/a-path",
    "TlsAuthority = /etc/warren/ca.pem",
    "TlsName = other.example",
  );
  const texts = ["tls://vpn.example:443", "192.0.2.1:51820", "[2001:db8::1]:53", "wss://vpn.example:8443/a-path"];
  assert.deepEqual(ways?.map(wayText), texts);
  assert.deepEqual(endpoint, { host: "192.0.2.1", port: 51_820 }, "UDP's first");
  assert.deepEqual(trust, { authority: "/etc/warren/ca.pem", name: "other.example" });
  assert.deepEqual([peerOf("Endpoint = 192.0.2.1:1").ways, peerOf("Endpoint = 192.0.2.1:1")].map(Boolean), [
    true,
    true,
  ]);
  assert.equal(hasPaths(peerOf("Endpoint = 192.0.2.1:1")), false, "plain UDP needs nothing new");
  assert.equal(peerOf("Endpoint = tcp://192.0.2.1:1").endpoint, undefined);
  const complaintOf = (line: string) => complaint([minimal, "[Peer]", `PublicKey = ${other}`, line].join("\n"));
  assert.match(complaintOf("Endpoint = any://192.0.2.1:1"), /line 6: Endpoint: .*to listen on/);
  assert.match(complaintOf("Endpoint = ftp://192.0.2.1:1"), /line 6: Endpoint: .*unknown scheme/);
  assert.match(complaintOf("Endpoint = tcp://192.0.2.1"), /line 6: Endpoint: .*no valid port/);
  assert.match(complaintOf("TlsAuthority = ca.pem"), /line 6: TlsAuthority: .*the path of a file/);
  assert.match(complaintOf("TlsName = a b"), /line 6: TlsName: .*the name in a certificate/);
});

test("a tunnel may listen for streams, with a certificate where TLS is spoken", () => {
  const certified = "TlsCertificate = /etc/warren/cert.pem\nTlsKey = /etc/warren/key.pem\nWebPage = /srv/www\n";
  const file = parseConfigFile(`${minimal}Listen = tcp://192.0.2.1:80, any://*:443/x\n${certified}`).interface;
  assert.deepEqual(
    file.listen.map((url) => url.reveal()),
    ["tcp://192.0.2.1:80", "any://*:443/x"],
  );
  assert.deepEqual([file.certificate, file.certificateKey], ["/etc/warren/cert.pem", "/etc/warren/key.pem"]);
  assert.match(
    complaint(`${minimal}Listen = tls://*`),
    /tls:\/\/\*:443 speaks TLS, which needs TlsCertificate and TlsKey/,
  );
  assert.match(complaint(`${minimal}Listen = udp://*:1`), /line 3: Listen: .*ListenPort/);
  assert.match(complaint(`${minimal}Listen = tcp://vpn.example:1`), /line 3: Listen: .*an address of this machine/);
});

test("a table is auto, off, a number or a name", () => {
  const tableOf = (value: string) => parseConfigFile(`${minimal}Table = ${value}`).interface.table;
  assert.deepEqual(tableOf("Auto"), { kind: "auto" });
  assert.deepEqual(tableOf("51821"), { kind: "table", table: 51_821 });
  assert.deepEqual(tableOf("0x10"), { kind: "table", table: 16 });
  assert.deepEqual(tableOf("main"), { kind: "table", table: "main" });
  for (const value of ["0", "4294967296", "12ab", "a/b", "a b", "-1"]) {
    assert.match(complaint(`${minimal}Table = ${value}`), /line 3: Table: .* is not /, value);
  }
});

test("what a resolver or a switch cannot be is said", () => {
  assert.match(complaint(`${minimal}DNS = 1.1.1`), /line 3: DNS: "1.1.1" is not an IP address/);
  assert.match(complaint(`${minimal}DNS = exa$mple`), /line 3: DNS: .* the address of a resolver or a search domain/);
  assert.match(complaint(`${minimal}SaveConfig = yes`), /line 3: SaveConfig: "yes" is not true or false/);
});

test("every wrong line is named, those in a row that are wrong alike with one sentence", () => {
  const message = complaint(`nonsense\n${minimal}${"nonsense\n".repeat(10_000)}MTU = 1\n`);
  const lines = message.split("\n  ");
  assert.deepEqual(
    [lines[0], lines[1], lines[2], lines.length],
    ["10002 mistakes", "line 1: expected `Key = value`", "lines 4 to 10003: expected `Key = value`", 4],
  );
  assert.match(lines[3], /^line 10004: MTU/);
});

test("a hook may bring the private key", () => {
  assert.equal(parseConfigFile("[Interface]\nPostUp = wg set %i private-key /x").interface.privateKey, undefined);
});

test("an allowed IP that two peers have goes to the later one, and that is said", () => {
  const peer = (publicKey: string, allowed: string) => `[Peer]\nPublicKey = ${publicKey}\nAllowedIPs = ${allowed}\n`;
  const third = `${"A".repeat(43)}=`;
  const file = parseConfigFile(minimal + peer(other, "10.0.0.1/8, fd00::/8") + peer(third, "fd00::/8,10.0.0.0/8"));
  assert.deepEqual(file.remarks, [
    "line 6: this peer takes fd00::/8 from that of line 3: the later one has it",
    "line 6: this peer takes 10.0.0.0/8 from that of line 3: the later one has it",
  ]);
  assert.deepEqual(parseConfigFile(`${minimal}[Peer]\nPublicKey = ${other}\nAllowedIPs =`).peers[0].allowedIps, []);
});

test("a peer with the interface's own key is refused", () => {
  const { privateKey } = parseConfigFile(minimal).interface;
  assert.ok(privateKey !== undefined);
  const publicKey = Buffer.from(native.publicKey(privateKey.bytes)).toString("base64");
  assert.match(
    complaint(`${minimal}[Peer]\nPublicKey = ${publicKey}`),
    /line 3: the peer has this interface's own key/,
  );
});

test("what is missing or cannot be meant is said once the lines are right", () => {
  assert.match(complaint(""), /expected one \[Interface\] section, found 0/);
  assert.match(complaint(`${minimal}${minimal}`), /expected one \[Interface\] section, found 2/);
  assert.match(complaint("[Interface]\nMTU = 1400"), /line 1: \[Interface\] lacks PrivateKey/);
  assert.match(complaint(`${minimal}[Peer]\nAllowedIPs = 10.0.0.0/8`), /line 3: \[Peer\] lacks PublicKey/);
  assert.match(complaint(`${minimal}Address = fd00::1/64\nMTU = 1200`), /IPv6 addresses need an MTU of 1280/);
  const peer = `[Peer]\nPublicKey = ${other}\n`;
  assert.match(complaint(minimal + peer + peer), /line 5: the peer of line 3 again/);
  assert.match(complaint(`PrivateKey = ${key}`), /line 1: PrivateKey stands before any section/);
});

test("an endpoint is a host or a bracketed address, and a port", () => {
  assert.deepEqual(parseEndpointName("192.0.2.1:1"), { host: "192.0.2.1", port: 1 });
  assert.deepEqual(parseEndpointName("[fe80::1%eth0]:2"), { host: "fe80::1%eth0", port: 2 });
  for (const text of ["192.0.2.1", "host:", "host:0", "host:65536", "2001:db8::1:51820", "[x]:1", "a b:1", "$(x):1"]) {
    assert.equal(parseEndpointName(text), undefined, text);
  }
});

test("a key in the wrong place is not quoted", () => {
  const slashed = "AQIDBAUG/wgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
  for (const name of ["Address", "DNS", "MTU", "FwMark", "ListenPort", "Table", "SaveConfig", "Unknown"]) {
    for (const secret of [key, slashed, Buffer.from(key, "base64").toString("hex")]) {
      const said = complaint(`${minimal}${name} = 10.8.0.1 ${secret}\n`);
      assert.doesNotMatch(said, /AQIDBAUG|01020304/, name);
      if (name !== "Unknown") assert.equal(said, `line 3: ${name}: here stands what looks like a key`);
    }
  }
  for (const name of ["AllowedIPs", "Endpoint", "PersistentKeepalive"]) {
    const said = complaint(`${minimal}[Peer]\nPublicKey = ${other}\n${name} = ${slashed}\n`);
    assert.equal(said, `line 5: ${name}: here stands what looks like a key`);
  }
  assert.equal(complaint(`[Interface]\n${"A".repeat(43)}=\n`), "line 2: expected `Key = value`");
});

test("a NUL byte, which no command could be given, is refused", () => {
  assert.equal(complaint(`${minimal}PostUp = echo \0 there\n`), "line 3: there is a NUL byte in it");
});

test("every wrong word of a list is named", () => {
  assert.equal(
    complaint(`${minimal}Address = 10.8.0.300/24, 10.8.0.1/24, 10.8.0.2/33, foo\n`),
    'line 3: Address: "10.8.0.300" is not an IP address; /33 is not a prefix length of an IPv4 address; ' +
      '"foo" is not an IP address: write it like 10.8.0.1 or fd00::1, use /0 to /32',
  );
  const allowed = complaint(`${minimal}[Peer]\nPublicKey = ${other}\nAllowedIPs = x/8, 10.0.0.0/8, y\n`);
  assert.match(allowed, /^line 5: AllowedIPs: "x" is not an IP address; "y" is not an IP address/);
  assert.match(complaint(`${minimal}DNS = 1.1.1, 10.8.0.1, a$b\n`), /"1\.1\.1" is not .*; "a\$b" is not /);
});

test("a list of commas alone is no list", () => {
  for (const name of ["Address", "DNS"]) {
    assert.match(complaint(`${minimal}${name} = ,\n`), new RegExp(`^line 3: ${name}: "," is not `));
  }
  assert.match(
    complaint(`${minimal}[Peer]\nPublicKey = ${other}\nAllowedIPs = , ,\n`),
    /^line 5: AllowedIPs: ", ," is/,
  );
});

test("a table that has no number here is named with its line", () => {
  assert.match(
    complaint(`${minimal}Table = banana\nMTU = 1\n`),
    /line 3: Table: there is no routing table called banana/,
  );
});

test("what is given twice, and differently, is refused; the same again is not", () => {
  assert.equal(complaint(`${minimal}PrivateKey = ${other}\n`), "line 3: PrivateKey was another in line 2: keep one");
  assert.equal(complaint(`${minimal}MTU = 1400\nmtu = 1300\n`), "line 4: mtu was another in line 3: keep one");
  const peer = `[Peer]\nPublicKey = ${other}\n`;
  assert.match(
    complaint(`${minimal}${peer}PublicKey = ${"A".repeat(43)}=\n`),
    /^line 5: PublicKey was another in line 4/,
  );
  assert.equal(parseConfigFile(`${minimal}PrivateKey = ${key}\n`).interface.privateKey?.reveal(), key);
  assert.equal(parseConfigFile(`${minimal}DNS = 1.1.1.1\nDNS = 8.8.8.8\n`).interface.resolvers.length, 2);
});
