import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr } from "../../../src/base/address.ts";
import { SourceAddresses } from "../../../src/transport/source-addresses.ts";

test("a source has one address, others have others, and all lie in the loopback network", () => {
  const [here, elsewhere] = [new SourceAddresses(), new SourceAddresses()];
  const range = Cidr.parse("127.128.0.0/10");
  const all = Array.from({ length: 200 }, (_, i) => here.of(`192.0.2.${i}`));
  assert.ok(all.every((address) => range.contains(address)));
  assert.ok(new Set(all.map(String)).size > 195);
  assert.deepEqual(here.of("192.0.2.7"), all[7]);
  assert.notDeepEqual(elsewhere.of("192.0.2.7"), all[7], "nobody outside can work it out");
  assert.notDeepEqual(here.of(undefined), here.of(undefined), "behind a proxy each is on its own");
});
