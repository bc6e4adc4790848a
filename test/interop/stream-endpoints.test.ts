/**
 * Streams in a configuration: `Endpoint = tcp://…` on one side, `Listen = …` on the other, and no further program.
 *
 *     left  warren up ===== tcp, tls, wss ===== warren up  right
 */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { slowdown } from "./patience.ts";
import { ping } from "./ping.ts";
import { inside, StreamPair, type StreamPairOptions } from "./stream-pair.ts";
import { transferBothWays } from "./transfers.ts";

type Kind = "tcp" | "tls" | "wss";

function optionsOf(kind: Kind, { cert, key }: { readonly cert: string; readonly key: string }): StreamPairOptions {
  const certificate = [`TlsCertificate = ${cert}`, `TlsKey = ${key}`];
  const trust = [`TlsAuthority = ${cert}`, "TlsName = localhost"];
  switch (kind) {
    case "tcp":
      return { peer: ["Endpoint = tcp://192.0.2.2:443"], listen: ["Listen = tcp://192.0.2.2:443"] };
    case "tls":
      return {
        peer: ["Endpoint = tls://[2001:db8::2]", ...trust],
        listen: ["Listen = tcp://*:80, any://*:443", ...certificate],
      };
    case "wss":
      return {
        peer: ["Endpoint = wss://192.0.2.2/9a1c", ...trust],
        listen: ["Listen = wss://*:443/9a1c", ...certificate],
      };
  }
}

function isReady(t: TestContext): boolean {
  return requireNamespaces(t) && requireProgram(t, "nft", "nftables") !== undefined;
}

describe("streams in a configuration", { concurrency: 1, timeout: 120_000 }, () => {
  for (const [kind, remote] of [
    ["tcp", /^tcp:\/\/192\.0\.2\.2:443$/],
    ["tls", /^tls:\/\/\[2001:db8::2\]:443$/],
    ["wss", /^wss:\/\/192\.0\.2\.2:443$/],
  ] as const) {
    test(`over ${kind}, with UDP blocked`, async (t) => {
      if (!isReady(t)) return;
      using pair = new StreamPair();
      await pair.blockUdp();
      const options = optionsOf(kind, pair.files);
      const [right, left] = await Promise.all([pair.startRight(options), pair.startLeft(options)]);
      const report = await ping(pair.underlay.left, inside.right, { count: 5, intervalSeconds: 0.1 });
      assert.equal(report.received, report.sent, report.output);
      await transferBothWays(pair.underlay.left, pair.underlay.right, inside.right);
      const blocked = await pair.underlay.left.run("nft", "list", "table", "inet", "block");
      assert.deepEqual(blocked.match(/packets [0-9]+/g), ["packets 0", "packets 0"], "none tried UDP");
      const [of, at] = [await left.stop("SIGTERM"), await right.stop("SIGTERM")];
      assert.deepEqual([of.code, at.code], [0, 0], of.stderr + at.stderr);
      assert.ok(
        Math.max(of.elapsedMs, at.elapsedMs) < 2000 * slowdown(),
        `it took ${of.elapsedMs} and ${at.elapsedMs} ms to end`,
      );
      // What is shown is where they really are, not the place on loopback.
      assert.match(String(of.status?.peers[0].endpoint), remote);
      assert.match(
        String(at.status?.peers[0].endpoint),
        new RegExp(`^${kind}://(192\\.0\\.2\\.1|\\[2001:db8::1\\]):[0-9]+$`),
      );
      assert.match(of.stderr, /connected to/);
      assert.doesNotMatch(of.stderr + at.stderr, /9a1c/, "the path is not said");
    });
  }

  test("with everything inside, a kill switch, and a strict reverse path filter: the stream goes past it", async (t) => {
    if (!isReady(t)) return;
    using pair = new StreamPair();
    const { left, right } = pair.underlay;
    right.config.addresses.add(1, Cidr.parse("198.51.100.1/32"));
    left.config.routes.add({ destination: Cidr.parse("0.0.0.0/0"), via: IpAddress.parse("192.0.2.2") });
    left.namespace.run(() => {
      for (const link of ["all", "eth0"]) Sysctl.set(`net/ipv4/conf/${link}/rp_filter`, 1);
    });
    const options = {
      peer: ["Endpoint = tcp://198.51.100.1:443"],
      listen: ["Listen = tcp://*:443"],
      allowedIps: "0.0.0.0/0",
      arguments: ["--kill-switch"],
    };
    await Promise.all([pair.startRight(options), pair.startLeft(options)]);
    const report = await ping(left, inside.right, { count: 3, intervalSeconds: 0.1 });
    assert.equal(report.received, report.sent, report.output);
    await transferBothWays(left, right, inside.right);
  });
});
