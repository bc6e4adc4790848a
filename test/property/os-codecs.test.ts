import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import { concatBytes } from "../../src/base/bytes.ts";
import { attribute, decodeAttributes, decodeMessages, encodeMessage } from "../../src/os/netlink-message.ts";
import { decodeRoute, encodeRoute } from "../../src/os/routes.ts";
import { decodeRule, encodeRule } from "../../src/os/rules.ts";
import { decodeSockaddr, sockaddrOf } from "../../src/os/sockaddr.ts";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const address4 = bytes(4).map((value) => new IpAddress(value));
const address6 = bytes(16).map((value) => new IpAddress(value));
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

/** Without the null prototype that fast-check gives some records. */
function plainRecord<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true });
}

function networkOf(address: fc.Arbitrary<IpAddress>): fc.Arbitrary<Cidr> {
  return address.chain((value) => fc.nat(value.bits).map((prefix) => new Cidr(value, prefix).network));
}

test("an endpoint comes back from its sockaddr", () => {
  const endpoint = fc.oneof(
    fc.tuple(address4, u16).map(([address, port]) => new Endpoint(address, port)),
    fc.tuple(address6, u16, u32).map(([address, port, scope]) => new Endpoint(address, port, scope)),
  );
  fc.assert(fc.property(endpoint, (value) => decodeSockaddr(sockaddrOf(value))?.equals(value) === true));
});

test("messages and attributes come back as they were", () => {
  const attributes = fc.uniqueArray(fc.tuple(fc.nat(0x3fff), fc.uint8Array({ maxLength: 40 })), {
    selector: ([type]) => type,
    maxLength: 8,
  });
  const message = plainRecord({ type: u16, flags: u16, sequence: u32, attributes });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      const encoded = messages.map(({ attributes, ...header }) =>
        encodeMessage({ ...header, body: concatBytes(...attributes.map(([type, value]) => attribute(type, value))) }),
      );
      const decoded = decodeMessages(concatBytes(...encoded)).map(({ body, ...header }) => ({
        ...header,
        attributes: [...decodeAttributes(body)].map(([type, value]) => [type, [...value]]),
      }));
      const expected = messages.map(({ attributes, ...header }) => ({
        ...header,
        attributes: attributes.map(([type, value]) => [type, [...value]]),
      }));
      assert.deepEqual(decoded, expected);
    }),
  );
});

test("no bytes make a decoder throw or read past the end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(20), (input, from) => {
      for (const message of decodeMessages(input)) assert.ok(message.body.length <= input.length - 16);
      for (const value of decodeAttributes(input, from).values()) assert.ok(value.length <= input.length);
      decodeSockaddr(input, from);
    }),
  );
});

test("a route comes back from its attributes", () => {
  const routeOf = (address: fc.Arbitrary<IpAddress>) =>
    plainRecord({
      destination: networkOf(address),
      kind: fc.constantFrom("unicast" as const, "blackhole" as const, "unreachable" as const, "prohibit" as const),
      table: fc.integer({ min: 1, max: 0xffff_ffff }),
      via: maybe(address),
      device: maybe(u32),
      metric: maybe(u32),
      source: maybe(address),
      mtu: maybe(u32),
      onLink: maybe(fc.constant(true)),
    });
  fc.assert(
    fc.property(fc.oneof(routeOf(address4), routeOf(address6)), (route) => {
      const decoded = decodeRoute({ type: 24, flags: 0, sequence: 0, body: encodeRoute(route) });
      assert.deepEqual(decoded, route);
    }),
  );
});

test("a rule comes back from its attributes", () => {
  const ruleOf = (family: 4 | 6, address: fc.Arbitrary<IpAddress>) =>
    plainRecord({
      family: fc.constant(family),
      table: fc.integer({ min: 1, max: 0xffff_ffff }),
      priority: u32,
      mark: maybe(u32),
      mask: maybe(u32),
      invert: maybe(fc.constant(true)),
      from: maybe(networkOf(address)),
      to: maybe(networkOf(address)),
      inputInterface: maybe(fc.constantFrom("lo", "homes")),
      suppressPrefixLength: maybe(fc.nat(128)),
    });
  fc.assert(
    fc.property(fc.oneof(ruleOf(4, address4), ruleOf(6, address6)), (rule) => {
      assert.deepEqual(decodeRule({ type: 32, flags: 0, sequence: 0, body: encodeRule(rule) }), rule);
    }),
  );
});
