import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes, fromHex, toHex } from "../../../src/base/bytes.ts";
import { type AddressQuestion, decodeReply, encodeQuestion } from "../../../src/tunnel/endpoint-query.ts";

const question: AddressQuestion = { id: 0x1234, host: "vpn.example.org", family: 4 };
const bytes = (hex: string) => fromHex(hex.replaceAll(/\s/g, "")) ?? assert.fail("not hexadecimal");
const name = "03 76706e 07 6578616d706c65 03 6f7267 00";
const asked = bytes(`1234 0100 0001 0000 0000 0000 ${name} 0001 0001`);
/** The same question, answered with these records. */
const reply = (count: number, records: string, flags = "8180", id = "1234") =>
  bytes(`${id} ${flags} 0001 000${count} 0000 0000 ${name} 0001 0001 ${records}`);
const address = (owner: string, value: string) => `${owner} 0001 0001 0000003c 0004 ${value}`;
const textsOf = (message: Uint8Array, of = question) => {
  const decoded = decodeReply(message, of);
  return decoded?.kind === "addresses" ? decoded.addresses.map(String) : decoded?.kind;
};

test("a question is a header and a name with its type and class", () => {
  assert.equal(toHex(encodeQuestion(question) ?? assert.fail()), toHex(asked));
  assert.equal(toHex(encodeQuestion({ ...question, host: "vpn.example.org." }) ?? assert.fail()), toHex(asked));
  const six = encodeQuestion({ ...question, family: 6 }) ?? assert.fail();
  assert.equal(toHex(six.subarray(-4)), "001c0001");
});

test("what is no name is not asked for", () => {
  const long = "a".repeat(64);
  const deep = Array(64).fill("abc").join(".");
  for (const host of ["", ".", "a..b", `${long}.org`, deep, "käse.example", "a b"]) {
    assert.equal(encodeQuestion({ ...question, host }), undefined, host);
  }
});

test("addresses are read, also where names point back", () => {
  assert.deepEqual(textsOf(reply(1, address("c00c", "c0000201"))), ["192.0.2.1"]);
  assert.deepEqual(textsOf(reply(2, address("c00c", "c0000201") + address(name, "c0000202"))), [
    "192.0.2.1",
    "192.0.2.2",
  ]);
  const six = bytes(
    `1234 8180 0001 0001 0000 0000 ${name} 001c 0001 c00c 001c 0001 0000003c 0010 20010db8000000000000000000000009`,
  );
  assert.deepEqual(textsOf(six, { ...question, family: 6 }), ["2001:db8::9"]);
});

test("an alias leads to the address of its target, and of nobody else", () => {
  const alias = "c00c 0005 0001 0000003c 0007 0473656c66 c010"; // vpn.example.org is self.example.org
  const target = "04 73656c66 c010";
  assert.deepEqual(textsOf(reply(2, alias + address(target, "c0000207"))), ["192.0.2.7"]);
  assert.deepEqual(textsOf(reply(2, address(target, "c0000207") + alias)), ["192.0.2.7"]);
  assert.deepEqual(textsOf(reply(1, address(target, "c0000207"))), [], "an address nobody asked for");
  const loop = "c00c 0005 0001 0000003c 0002 c00c";
  assert.deepEqual(textsOf(reply(1, loop)), []);
});

test("no such name is an answer, a refusal is another, and so is a truncated one", () => {
  assert.deepEqual(textsOf(reply(0, "", "8183")), []);
  assert.deepEqual(textsOf(reply(0, "", "8180")), []);
  assert.equal(textsOf(reply(0, "", "8182")), "refused");
  assert.equal(textsOf(reply(0, "", "8185")), "refused");
  assert.equal(textsOf(reply(0, "", "8380")), "truncated");
});

test("the name may come back in another case", () => {
  const shouted = bytes(
    `1234 8180 0001 0001 0000 0000 03 56504e 07 4558414d504c45 03 4f5247 00 0001 0001 ${address("c00c", "c0000201")}`,
  );
  assert.deepEqual(textsOf(shouted), ["192.0.2.1"]);
});

test("what is not the answer to this question is none", () => {
  const good = address("c00c", "c0000201");
  const wrong: Record<string, Uint8Array> = {
    "another id": reply(1, good, "8180", "1235"),
    "a question": reply(1, good, "0180"),
    "another operation": reply(1, good, "8980"),
    "another name": bytes(toHex(reply(1, good)).replace("0376706e", "0376706f")),
    "another type": bytes(toHex(reply(1, good)).replace("6f72670000010001", "6f726700001c0001")),
    "two questions": bytes(toHex(reply(1, good)).replace("8180" + "0001", "8180" + "0002")),
    "an answer that ends early": reply(1, good).subarray(0, -1),
    "fewer records than it says": reply(2, good),
    "a pointer forwards": reply(1, address("c0ff", "c0000201")),
    "a pointer to itself": reply(1, address("c021", "c0000201")),
    nothing: new Uint8Array(),
  };
  for (const [what, message] of Object.entries(wrong)) assert.equal(decodeReply(message, question), undefined, what);
});

test("an address of the wrong length is passed over", () => {
  assert.deepEqual(textsOf(reply(1, "c00c 0001 0001 0000003c 0003 c00002")), []);
});

test("no bytes whatever make it fail, or take long", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 12 }), (noise, count) => {
      const message = concatBytes(reply(0, ""), noise);
      message[7] = count;
      const decoded = decodeReply(message, question);
      assert.ok(decoded === undefined || decoded.kind === "addresses");
      decodeReply(noise, question);
    }),
    { numRuns: 2000 },
  );
});
