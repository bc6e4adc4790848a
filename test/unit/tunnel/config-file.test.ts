import assert from "node:assert/strict";
import { test } from "node:test";
import { VpnError } from "../../../src/base/errors.ts";
import { parseConfigFile, parseEndpointName } from "../../../src/tunnel/config-file.ts";

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
      "Address = 10.9.0.2",
      "ListenPort = 51820",
      "MTU = 1400",
      "FwMark = 0xca6c",
      "Table = off",
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
  const { privateKey, addresses, ...rest } = file.interface;
  assert.equal(privateKey.reveal(), key);
  assert.deepEqual(addresses.map(String), ["10.8.0.2/24", "fd08::2/64", "10.9.0.2/32"]);
  assert.deepEqual(rest, { listenPort: 51820, mtu: 1400, mark: 0xca6c, routeAllowedIps: false });
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

test("what wg-quick does and this version does not is refused by name, with what to do meanwhile", () => {
  assert.match(complaint(`${minimal}DNS = 1.1.1.1`), /line 3: DNS is not supported .*: remove the line and set the/);
  assert.match(complaint(`${minimal}PostUp = x`), /line 3: PostUp is not supported .*run it yourself after/);
});

test("a file of nonsense is not read back to its author", () => {
  const message = complaint("nonsense\n".repeat(10_000));
  assert.ok(message.length < 400, message);
  assert.match(message, /and \d+ more$/);
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
  assert.match(complaint(`${minimal}Table = 42`), /line 3: Table: "42" is neither auto nor off/);
});

test("an endpoint is a host or a bracketed address, and a port", () => {
  assert.deepEqual(parseEndpointName("192.0.2.1:1"), { host: "192.0.2.1", port: 1 });
  for (const text of ["192.0.2.1", "host:", "host:0", "host:65536", "2001:db8::1:51820", "[x]:1", "a b:1", "$(x):1"]) {
    assert.equal(parseEndpointName(text), undefined, text);
  }
});
