import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { IpAddress } from "../../../src/base/address.ts";
import { outsideResolvers, readResolvers } from "../../../src/tunnel/endpoint-name-servers.ts";

/** The two files, to be written, and the name servers outside as they show while the tunnel's own is 10.8.0.53. */
function machine(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "warren-resolvers-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const files = { resolvConf: join(folder, "resolv.conf"), upstream: join(folder, "upstream.conf") };
  const write = (file: keyof typeof files, ...servers: string[]) =>
    writeFileSync(files[file], servers.map((server) => `nameserver ${server}\n`).join(""));
  const before = () => {
    const resolvers = outsideResolvers([IpAddress.parse("10.8.0.53")], files);
    return () => resolvers().map(({ address }) => String(address));
  };
  return { write, before };
}

test("resolv.conf(5) names name servers, and what is none of them is passed over", () => {
  const text = [
    "search example.org",
    "nameserver 192.0.2.53",
    " nameserver\t2001:db8::53",
    "#nameserver 192.0.2.54",
    "nameserver fe80::1%lo",
    "nameserver 300.1.1.1",
    "options edns0",
  ].join("\n");
  assert.deepEqual(readResolvers(text).map(String), ["192.0.2.53:53", "[2001:db8::53]:53", "[fe80::1%1]:53"]);
});

test("what was in force before stays known when the tunnel's own takes its place", (t) => {
  const { write, before } = machine(t);
  write("resolvConf", "192.0.2.53", "192.0.2.54");
  const servers = before();
  write("resolvConf", "10.8.0.53");
  assert.deepEqual(servers(), ["192.0.2.53", "192.0.2.54"]);
});

test("the network that is joined later is asked first", (t) => {
  const { write, before } = machine(t);
  write("resolvConf", "192.0.2.53");
  const servers = before();
  write("resolvConf", "198.51.100.53", "192.0.2.53");
  assert.deepEqual(servers(), ["198.51.100.53", "192.0.2.53"]);
});

test("one that was in force before counts, although the tunnel brings the same", (t) => {
  const { write, before } = machine(t);
  write("resolvConf", "10.8.0.53");
  assert.deepEqual(before()(), ["10.8.0.53"]);
});

test("behind systemd-resolved are those that count, and never the tunnel's", (t) => {
  const { write, before } = machine(t);
  write("resolvConf", "127.0.0.53");
  write("upstream", "192.0.2.53");
  const servers = before();
  write("upstream", "10.8.0.53", "198.51.100.53");
  assert.deepEqual(servers(), ["198.51.100.53", "192.0.2.53"]);
});

test("a resolver of this machine without anybody behind it counts itself, and without files there is none", (t) => {
  const { write, before } = machine(t);
  assert.deepEqual(before()(), []);
  write("resolvConf", "127.0.0.53");
  assert.deepEqual(before()(), ["127.0.0.53"]);
});
