import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr } from "../../../src/base/address.ts";
import { planRoutes, type RouteTarget } from "../../../src/tunnel/tunnel-routes.ts";

function plan(target: RouteTarget, allowedIps: string, addresses: string) {
  const parse = (text: string) => text.split(" ").map((word) => Cidr.parse(word));
  const { table, destinations, defaults } = planRoutes(target, parse(allowedIps), parse(addresses));
  return { table, destinations: destinations.join(" "), defaults };
}

test("the longest prefixes come first, each once, and default routes are kept apart", () => {
  assert.deepEqual(plan({ kind: "auto" }, "0.0.0.0/0 10.0.0.0/8 10.9.0.0/16 10.0.0.0/8 fd00::/8", "10.8.0.1/32"), {
    table: 254,
    destinations: "10.9.0.0/16 10.0.0.0/8 fd00::/8",
    defaults: [4],
  });
});

test("what an address's own subnet covers needs no route; an IPv4 address alone has no subnet", () => {
  assert.equal(
    plan({ kind: "auto" }, "10.8.0.0/24 10.8.0.7/32 10.8.0.0/16", "10.8.0.1/24").destinations,
    "10.8.0.0/16",
  );
  assert.equal(
    plan({ kind: "auto" }, "10.8.0.1/32 fd00::1/128", "10.8.0.1/32 fd00::1/128").destinations,
    "10.8.0.1/32",
  );
});

test("a table that is named gets everything, and off gets nothing", () => {
  const everything = { table: 42, destinations: "10.8.0.0/24 0.0.0.0/0 ::/0", defaults: [] };
  assert.deepEqual(plan({ kind: "table", table: 42 }, "0.0.0.0/0 ::/0 10.8.0.0/24", "10.8.0.1/24"), everything);
  assert.deepEqual(plan({ kind: "off" }, "0.0.0.0/0 10.0.0.0/8", "10.8.0.1/24"), {
    table: 254,
    destinations: "",
    defaults: [],
  });
});
