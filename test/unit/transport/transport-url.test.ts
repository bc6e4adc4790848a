import assert from "node:assert/strict";
import { test } from "node:test";
import { TransportUrl } from "../../../src/transport/transport-url.ts";

test("a URL names a scheme, a host, a port and a path", () => {
  for (const [text, scheme, host, port, path] of [
    ["udp://127.0.0.1:51820", "udp", "127.0.0.1", 51820, "/"],
    ["tcp://vpn.example:443", "tcp", "vpn.example", 443, "/"],
    ["tls://vpn.example", "tls", "vpn.example", 443, "/"],
    ["wss://vpn.example/a/b%20c", "wss", "vpn.example", 443, "/a/b%20c"],
    ["ws://[2001:DB8::0:1]:8080/x", "ws", "2001:db8::1", 8080, "/x"],
    ["ws://vpn.example", "ws", "vpn.example", 80, "/"],
    ["any://*:443/secret", "any", "*", 443, "/secret"],
    ["tcp://127.0.0.1:0", "tcp", "127.0.0.1", 0, "/"],
  ] as const) {
    const url = TransportUrl.parse(text);
    assert.deepEqual([url.scheme, url.host, url.port, url.path], [scheme, host, port, path]);
  }
});

test("the path, which may be a secret, is not printed", () => {
  const url = TransportUrl.parse("wss://[::1]:8443/secret");
  assert.equal(String(url), "wss://[::1]:8443");
  assert.equal(JSON.stringify({ url }), '{"url":"wss://[::1]:8443"}');
});

test("what is no transport is refused in one line", () => {
  for (const [text, complaint] of [
    ["127.0.0.1:51820", /is not the URL/],
    ["http://vpn.example/", /unknown scheme/],
    ["tcp://vpn.example", /no valid port/],
    ["tcp://vpn.example:70000", /no valid port/],
    ["any://*", /no valid port/],
    ["tcp://vpn.example:1/path", /has a path/],
    ["wss://user:secret@vpn.example/", /is not the URL/],
    ["wss://vpn.example/?query", /is not the URL/],
    ["udp://[fd00::1", /is not the URL/],
    ["udp://[::g]:1", /is not/],
    ["", /is not the URL/],
  ] satisfies [string, RegExp][]) {
    assert.throws(() => TransportUrl.parse(text), { code: "invalid-argument", message: complaint }, text);
  }
  assert.throws(() => TransportUrl.parse("tcp://1.2.3:9").address, { code: "invalid-argument" });
});
