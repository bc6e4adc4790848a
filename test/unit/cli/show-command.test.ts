import assert from "node:assert/strict";
import { test } from "node:test";
import { pathRows } from "../../../src/cli/path-rows.ts";
import { formatAge, formatSize } from "../../../src/cli/quantities.ts";
import { toText } from "../../../src/cli/show-command.ts";

test("sizes and ages are what people read", () => {
  assert.deepEqual([0, 1023, 1024, 1536, 1024 ** 2, 1.5 * 1024 ** 4, 1024 ** 6].map(formatSize), [
    "0 B",
    "1023 B",
    "1.00 KiB",
    "1.50 KiB",
    "1.00 MiB",
    "1.50 TiB",
    "1024.00 PiB",
  ]);
  const ages = [0, 999, 1000, 62_000, 3_600_000, 90_061_000, 31_536_000_000].map((ms) => formatAge(0, ms));
  assert.deepEqual(ages, [
    "now",
    "now",
    "1 second ago",
    "1 minute, 2 seconds ago",
    "1 hour ago",
    "1 day, 1 hour, 1 minute, 1 second ago",
    "1 year ago",
  ]);
  assert.equal(formatAge(5000, 0), "in 5 seconds: the clock was set back");
});

test("a tunnel is shown as wg shows it, the peer heard of last first, and its own facts where it has them", () => {
  const peer = {
    hasPresharedKey: false,
    endpoint: undefined,
    receivedBytes: 0,
    sentBytes: 0,
    persistentKeepaliveSeconds: 0,
  };
  const description = {
    name: "wg0",
    publicKey: "AAAA",
    listenPort: 51820,
    mark: 0xca6c,
    peers: [
      { ...peer, publicKey: "BBBB", latestHandshakeAt: undefined, allowedIps: [] },
      {
        publicKey: "CCCC",
        hasPresharedKey: true,
        endpoint: "192.0.2.1:9",
        latestHandshakeAt: 1000,
        receivedBytes: 2048,
        sentBytes: 10,
        persistentKeepaliveSeconds: 25,
        allowedIps: ["10.0.0.0/8", "::/0"],
      },
    ],
  };
  const text = [
    "interface: wg0",
    "  public key: AAAA",
    "  private key: (hidden)",
    "  listening port: 51820",
    "  fwmark: 0xca6c",
    "",
    "peer: CCCC",
    "  preshared key: (hidden)",
    "  endpoint: 192.0.2.1:9",
    "  allowed ips: 10.0.0.0/8, ::/0",
    "  latest handshake: 2 seconds ago",
    "  transfer: 2.00 KiB received, 10 B sent",
    "  persistent keepalive: every 25 seconds",
    "",
    "peer: BBBB",
    "  allowed ips: (none)",
  ].join("\n");
  assert.equal(toText({ description, own: undefined }, 3000), text);
  const workers = { packets: 0, systemCalls: 0, allocatedBytes: 0, packetsAtReading: 0 };
  const own = {
    pid: 1,
    unanswered: {},
    name: "wg0",
    port: 51820,
    mtu: 1420,
    aead: "block" as const,
    offloads: {
      ...{ tun: { tcp4: true, tcp6: false, udp: true }, udp: { segmentation: true, receiveOffload: false } },
      off: [
        { offload: "TSO over IPv6" as const, why: "write failed with EINVAL" },
        { offload: "UDP_GRO" as const, why: "the kernel does not know it" },
      ],
    },
    paths: {},
    carried: {},
    drops: { "message-replayed": 3, "packet-no-peer": 1 },
    workers: { outbound: workers, inbound: workers },
  };
  const empty = { name: "wg0", publicKey: undefined, listenPort: 0, mark: 0, peers: [] };
  const expected = [
    "interface: wg0",
    "  public key: (none)",
    "  private key: (none)",
    "  mtu: 1420",
    "  cipher: block",
    "  offloads: TSO over IPv4, USO, UDP_SEGMENT",
    "  without: TSO over IPv6 (write failed with EINVAL), UDP_GRO (the kernel does not know it)",
    "  dropped: 3 message-replayed, 1 packet-no-peer",
  ].join("\n");
  assert.equal(toText({ description: empty, own }, 3000), expected);
});

test("what a peer leaves unanswered is said, but for the one initiation that may be on its way", () => {
  const peer = {
    publicKey: "BBBB",
    hasPresharedKey: false,
    endpoint: "192.0.2.1:9",
    receivedBytes: 0,
    sentBytes: 0,
    persistentKeepaliveSeconds: 0,
    allowedIps: [],
  };
  const workers = { packets: 0, systemCalls: 0, allocatedBytes: 0, packetsAtReading: 0 };
  const own = {
    pid: 1,
    name: "wg0",
    port: 1,
    mtu: 1420,
    aead: "block" as const,
    offloads: {
      ...{ tun: { tcp4: true, tcp6: true, udp: true }, udp: { segmentation: true, receiveOffload: true } },
      off: [],
    },
    paths: {},
    carried: {},
    drops: {},
    workers: { outbound: workers, inbound: workers },
  };
  const lineWith = (latestHandshakeAt: number | undefined, count: number) => {
    const description = {
      name: "wg0",
      publicKey: "A",
      listenPort: 1,
      mark: 0,
      peers: [{ ...peer, latestHandshakeAt }],
    };
    const shown = toText({ description, own: { ...own, unanswered: count === 0 ? {} : { BBBB: count } } }, 3000);
    return /latest handshake: (.*)/.exec(shown)?.[1];
  };
  assert.equal(lineWith(undefined, 0), undefined);
  assert.equal(lineWith(undefined, 1), "never (1 initiation unanswered)");
  assert.equal(lineWith(undefined, 5), "never (5 initiations unanswered)");
  assert.equal(lineWith(1000, 1), "2 seconds ago");
  assert.equal(lineWith(1000, 2), "2 seconds ago (2 initiations unanswered)");
});

test("the ways to a peer are shown with what they did, and every decision with its reason", () => {
  const way = { isUsed: false, isReady: true, roundTripMs: undefined, lossShare: 0, bytesPerSecond: 0 };
  const report = {
    ways: [
      { ...way, name: "udp://192.0.2.1:51820", roundTripMs: 20, lossShare: 0.125 },
      { ...way, name: "tcp://192.0.2.1:443", isUsed: true, bytesPerSecond: 2048, roundTripMs: 31.4 },
      { ...way, name: "tls://vpn.example:443", isReady: false },
    ],
    decisions: [
      { agoMs: 90_000, text: "first" },
      { agoMs: 2000, text: "second" },
    ],
  };
  assert.deepEqual(pathRows(report, 100_000), [
    ["way", "udp://192.0.2.1:51820, ready, round trip 20 ms, 12.5 % of what comes is lost"],
    ["way", "tcp://192.0.2.1:443, in use, round trip 31 ms, 2.00 KiB/s"],
    ["way", "tls://vpn.example:443, not connected"],
    ["decision", "2 seconds ago: second"],
    ["decision", "1 minute, 30 seconds ago: first"],
  ]);
  assert.deepEqual(pathRows(undefined, 0), []);
});
