import assert from "node:assert/strict";
import { test } from "node:test";
import { IpAddress } from "../../../src/base/address.ts";
import { isPublicAddress } from "../../../src/transport/reachability.ts";

const near = ["127.0.0.1", "10.0.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1", "100.127.0.1"];
const near6 = ["::1", "fe80::1", "fd00::1", "fc00::1"];
const far = ["0.0.0.0", "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.2.1", "::", "2001:db8::1", "::ffff:10.0.0.1"];

test("an address is public unless it is known not to be", () => {
  const isPublic = (text: string) => isPublicAddress(IpAddress.parse(text));
  assert.deepEqual([...near, ...near6].filter(isPublic), []);
  assert.deepEqual(far.filter(isPublic), far);
});
