import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, Endpoint, IpAddress } from "../../../src/base/address.ts";
import { VpnError } from "../../../src/base/errors.ts";

const refused = (action: () => unknown, what: string) =>
  assert.throws(action, (error) => error instanceof VpnError && error.code === "invalid-argument", what);

test("IPv6 addresses are printed as RFC 5952 asks", () => {
  const canonical: [text: string, printed: string][] = [
    // §2, §4.1 to §4.3
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"],
    ["2001:db8::1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:DB8::1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"],
    ["2001:db8::aaaa:0:0:1", "2001:db8::aaaa:0:0:1"],
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    // ends and nothing
    ["0:0:0:0:0:0:0:0", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["0:0:1::", "0:0:1::"],
    // RFC 4291 §2.2: dots for the last 32 bits
    ["::ffff:192.0.2.1", "::ffff:c000:201"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ];
  for (const [text, printed] of canonical) assert.equal(`${IpAddress.parse(text)}`, printed, text);
});

test("IPv4 addresses are dotted decimal and nothing else", () => {
  assert.deepEqual(IpAddress.parse("10.8.0.255").bytes, Uint8Array.of(10, 8, 0, 255));
  assert.equal(`${IpAddress.parse("0.0.0.0")}`, "0.0.0.0");
});

test("what is no address is refused", () => {
  const wrong = [
    ...["", "10.8.0", "10.8.0.256", "10.8.0.1.2", "010.8.0.1", "0x0a.8.0.1", "10.8.0.-1", " 10.8.0.1", "10.8.0.1 "],
    ...[":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "::g", "1:2:3:4:5:6:7::8"],
    ...["::1.2.3", "fe80::1%eth0", "1:", ":1", "::1.2.3.4:5", "1.2.3.4::", "1.2.3.4::1"],
  ];
  for (const text of wrong) refused(() => IpAddress.parse(text), JSON.stringify(text));
  refused(() => new IpAddress(new Uint8Array(5)), "five bytes");
});

test("addresses compare by family and bytes, and are copies", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const address = new IpAddress(bytes);
  bytes[0] = 9;
  assert.ok(address.equals(IpAddress.parse("1.2.3.4")));
  assert.ok(!address.equals(IpAddress.parse("::102:304")));
  assert.deepEqual([address.family, address.bits], [4, 32]);
  assert.equal(JSON.stringify({ address }), '{"address":"1.2.3.4"}');
});

test("prefixes: host bits kept, cut by `network`; an address alone is the host itself", () => {
  const cidr = Cidr.parse("10.8.3.77/20");
  assert.equal(`${cidr}`, "10.8.3.77/20");
  assert.equal(`${cidr.network}`, "10.8.0.0/20");
  assert.equal(`${Cidr.parse("10.8.0.1")}`, "10.8.0.1/32");
  assert.equal(`${Cidr.parse("fd00::1")}`, "fd00::1/128");
  assert.equal(`${Cidr.parse("2001:db8:ffff::/33").network}`, "2001:db8:8000::/33");
  assert.equal(`${Cidr.parse("255.255.255.255/0").network}`, "0.0.0.0/0");
  assert.ok(Cidr.parse("10.0.0.0/8").equals(Cidr.parse("10.0.0.0/8")));
  assert.ok(!Cidr.parse("10.0.0.0/8").equals(Cidr.parse("10.0.0.0/9")));
});

test("a prefix contains what shares its bits, in its own family", () => {
  const cidr = Cidr.parse("10.8.0.0/15");
  assert.ok(cidr.contains(IpAddress.parse("10.9.255.255")));
  assert.ok(!cidr.contains(IpAddress.parse("10.10.0.0")));
  assert.ok(!Cidr.parse("0.0.0.0/0").contains(IpAddress.parse("::")));
  assert.ok(Cidr.parse("::/0").contains(IpAddress.parse("ff::")));
});

test("what is no prefix is refused", () => {
  for (const text of ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8", "/8"]) {
    refused(() => Cidr.parse(text), text);
  }
});

test("endpoints: both families, and a scope where there is one", () => {
  const v4 = Endpoint.parse("192.0.2.1:51820");
  assert.deepEqual([`${v4.address}`, v4.port, v4.family], ["192.0.2.1", 51_820, 4]);
  const v6 = Endpoint.parse("[2001:db8::1]:51820");
  assert.equal(`${v6}`, "[2001:db8::1]:51820");
  const scoped = new Endpoint(IpAddress.parse("fe80::1"), 1, 3);
  assert.equal(`${scoped}`, "[fe80::1%3]:1");
  assert.ok(!scoped.equals(new Endpoint(IpAddress.parse("fe80::1"), 1)));
  assert.ok(v4.equals(Endpoint.parse("192.0.2.1:51820")));
  assert.ok(!v4.equals(Endpoint.parse("192.0.2.1:51821")));
  for (const text of ["192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "2001:db8::1:51820", "[::1]", "host:1", ":1"]) {
    refused(() => Endpoint.parse(text), text);
  }
});
