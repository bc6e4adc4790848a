import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "../../../src/base/bytes.ts";
import { answerEcho } from "../../../src/lab/echo-answer.ts";
import { comparePackets, describeChange } from "../../../src/packet/difference.ts";
import { dissect } from "../../../src/packet/dissection.ts";

function bytes(hex: string): Uint8Array {
  const value = fromHex(hex);
  assert(value);
  return value;
}

const request4 = bytes("4500001e1a2b40004001068d0a080002080808080800 22091234 0014aabb".replaceAll(" ", ""));
const addresses = "fd100008000000000000000000000002".concat("20014860486000000000000000008888");
const request6 = bytes(`60000000000a3a40${addresses}8000000012340001aabb`);

test("the reply goes back with its checksum right, and is otherwise the request", () => {
  const reply = answerEcho(request4);
  assert(reply);
  const fields = dissect(reply);
  const value = (name: string) => fields.find((field) => field.layer === "ICMP" && field.name === name)?.value;
  assert.match(value("checksum") ?? "", /, right$/);
  const changes = comparePackets(dissect(request4), fields).map(describeChange);
  assert.deepEqual(changes.slice(0, 3), [
    "IPv4 source 10.8.0.2 → 8.8.8.8",
    "IPv4 destination 8.8.8.8 → 10.8.0.2",
    "ICMP type 8 (echo request) → 0 (echo reply)",
  ]);
  assert.equal(changes.length, 4, "and the checksum");
});

test("over IPv6 the pseudo-header counts", () => {
  const reply = answerEcho(request6);
  assert(reply);
  const field = (name: string) => dissect(reply).find((found) => found.layer === "ICMPv6" && found.name === name);
  assert.equal(field("type")?.value, "129 (echo reply)");
  assert.match(field("checksum")?.value ?? "", /, right$/);
});

test("only a request is answered", () => {
  const reply = answerEcho(request4);
  assert(reply);
  assert.equal(answerEcho(reply), undefined);
  assert.equal(answerEcho(new Uint8Array(0)), undefined);
  const udp = request4.slice();
  udp[9] = 17;
  assert.equal(answerEcho(udp), undefined);
});
