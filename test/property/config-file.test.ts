import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { VpnError } from "../../src/base/errors.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../../src/base/keys.ts";
import { parseConfigFile } from "../../src/tunnel/config-file.ts";
import type { InterfaceSection } from "../../src/tunnel/interface-section.ts";
import { formatConfig } from "../../src/tunnel/saved-config.ts";
import type { PeerState } from "../../src/tunnel/tunnel.ts";

const keyBytes = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((bytes) => bytes.some((byte) => byte !== 0));
const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => new IpAddress(bytes)),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => new IpAddress(bytes)),
);
const cidr = fc.tuple(address, fc.nat(128)).map(([ip, prefix]) => new Cidr(ip, Math.min(prefix, ip.bits)));
const hook = fc.stringMatching(/^[a-z%|&;$"' =,\\]{1,30}$/).filter((text) => text.trim() === text);

const section: fc.Arbitrary<InterfaceSection> = fc.record({
  privateKey: keyBytes.map((bytes) => new PrivateKey(bytes)),
  addresses: fc.array(cidr, { maxLength: 4 }),
  mark: fc.integer({ min: 1, max: 0xffff_ffff }),
  mtu: fc.integer({ min: 1280, max: 9000 }),
  clampMss: fc.boolean(),
  table: fc.oneof(
    fc.constantFrom({ kind: "auto" } as const, { kind: "off" } as const),
    fc.integer({ min: 1, max: 0xffff_ffff }).map((table) => ({ kind: "table", table }) as const),
  ),
  resolvers: fc.array(address, { maxLength: 3 }),
  searchDomains: fc.array(fc.constantFrom("example.org", "lan"), { maxLength: 2 }),
  hooks: fc.record({
    preUp: fc.array(hook),
    postUp: fc.array(hook),
    preDown: fc.array(hook),
    postDown: fc.array(hook),
  }),
  listen: fc.constant([]),
  saveConfig: fc.boolean(),
});

const peer: fc.Arbitrary<PeerState> = fc.record({
  publicKey: keyBytes.map((bytes) => new PublicKey(bytes)),
  presharedKey: fc.oneof(
    keyBytes.map((bytes) => new PresharedKey(bytes)),
    fc.constant(PresharedKey.none),
  ),
  endpoint: fc.constant(undefined),
  allowedIps: fc.array(
    cidr.map(({ network }) => network),
    { maxLength: 4 },
  ),
  persistentKeepaliveSeconds: fc.integer({ min: 0, max: 65_535 }),
  lastHandshakeAt: fc.constant(undefined),
  sentBytes: fc.constant(0),
  receivedBytes: fc.constant(0),
});

test("a configuration that was saved is read back as it was", () => {
  fc.assert(
    fc.property(
      section,
      fc.uniqueArray(peer, { selector: ({ publicKey }) => publicKey.toString(), maxLength: 3 }),
      fc.integer({ min: 1, max: 65_535 }),
      (wanted, peers, port) => {
        const { privateKey, addresses, mark = 0, mtu } = wanted;
        const tunnel = { port, mark, privateKey, peers: () => peers };
        const read = parseConfigFile(formatConfig(wanted, { tunnel, addresses, mtu }));
        const { privateKey: key, listenPort, ...rest } = read.interface;
        assert.equal(key?.reveal(), privateKey?.reveal());
        assert.equal(listenPort, port);
        const { privateKey: _, ...expected } = wanted;
        assert.equal(JSON.stringify(sorted(rest)), JSON.stringify(sorted(expected)));
        for (const [i, { publicKey, presharedKey, allowedIps, persistentKeepaliveSeconds }] of peers.entries()) {
          assert.ok(read.peers[i].publicKey.equals(publicKey));
          assert.ok((read.peers[i].presharedKey ?? PresharedKey.none).equals(presharedKey));
          assert.equal(String(read.peers[i].allowedIps), String(allowedIps));
          assert.equal(read.peers[i].persistentKeepaliveSeconds ?? 0, persistentKeepaliveSeconds);
        }
      },
    ),
  );
});

test("whatever a file holds, it is read or refused in words, and no secret is quoted", () => {
  const key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
  const names = [
    "PrivateKey",
    "PresharedKey",
    "Address",
    "DNS",
    "MTU",
    "Table",
    "AllowedIPs",
    "Endpoint",
    "PostUp",
    "Foo",
  ];
  const line = fc.oneof(
    fc.constantFrom(
      "[Interface]",
      "[Peer]",
      `PrivateKey = ${key}`,
      `PrivateKey = ${key.slice(1)}`,
      `PresharedKey = ${key.slice(1)}`,
      "# x",
      "",
    ),
    fc.tuple(fc.constantFrom(...names), fc.string()).map(([name, value]) => `${name} = ${value}`),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
      try {
        parseConfigFile(lines.join("\n"));
      } catch (error) {
        assert.ok(error instanceof VpnError && error.code === "invalid-configuration");
        assert.doesNotMatch(error.line, /QIDBAUGBwgJCgsM/);
      }
    }),
    { examples: [[["[Peer]", `PresharedKey = ${key.slice(1)}`]], [["[Interface]", `PrivateKey = ${key.slice(1)}`]]] },
  );
});

function sorted(value: object): object {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a.localeCompare(b)));
}
