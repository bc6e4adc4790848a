import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, fromHex, toHex } from "../../../src/base/bytes.ts";
import { decodeQuery, encodeAnswer, encodeName, RecordType } from "../../../src/lab/dns-message.ts";

const zone = { "a.example": ["192.0.2.7", "2001:db8::7"], "v4.example": ["192.0.2.8"] };
/** `A.example` spelt with a capital: recursion desired, and an EDNS record behind the question. */
const question = "01 41 07 6578616d706c65 00";
const query = hex(`1234 0120 0001 0000 0000 0001 ${question} 0001 0001 00 0029 04d0 00000000 0000`);

test("a query is read, its name in lower case, what follows the question left alone", () => {
  const read = decodeQuery(query);
  assert.deepEqual(read, {
    id: 0x1234,
    recursionDesired: true,
    name: "a.example",
    type: RecordType.A,
    section: hex(`${question} 0001 0001`),
  });
});

test("the answer repeats the question and gives the address of the family asked for", () => {
  const answer = (type: string) => {
    const asked = decodeQuery(hex(`1234 0100 0001 0000 0000 0000 ${question} ${type} 0001`));
    assert(asked !== undefined);
    return toHex(encodeAnswer(asked, zone));
  };
  const head = (type: string) => `1234 8500 0001 0001 0000 0000 ${question} ${type} 0001`;
  assert.equal(answer("0001"), flat(`${head("0001")} c00c 0001 0001 0000003c 0004 c0000207`));
  assert.equal(
    answer("001c"),
    flat(`${head("001c")} c00c 001c 0001 0000003c 0010 20010db8 00000000 00000000 00000007`),
  );
});

test("a known name without such an address has an empty answer, an unknown one a name error", () => {
  const flagsAndCounts = (name: string, type: number) => {
    const asked = decodeQuery(
      concatBytes(hex("0001 0000 0001 0000 0000 0000"), encodeName(name), Uint8Array.of(0, type, 0, 1)),
    );
    assert(asked !== undefined);
    return toHex(encodeAnswer(asked, zone).subarray(2, 8));
  };
  assert.equal(flagsAndCounts("v4.example", RecordType.AAAA), flat("8400 0001 0000"));
  assert.equal(flagsAndCounts("nobody.example", RecordType.A), flat("8403 0001 0000"));
  assert.equal(flagsAndCounts("constructor", RecordType.A), flat("8403 0001 0000"));
});

test("what is no query of one Internet question is not read", () => {
  const cases = {
    empty: "",
    "half a header": "1234 0100 0001",
    "a response": `1234 8100 0001 0000 0000 0000 ${question} 0001 0001`,
    "another operation": `1234 2800 0001 0000 0000 0000 ${question} 0001 0001`,
    "no question": "1234 0100 0000 0000 0000 0000",
    "two questions": `1234 0100 0002 0000 0000 0000 ${question} 0001 0001`,
    "a label longer than the message": "1234 0100 0001 0000 0000 0000 3f 61 00 0001 0001",
    "a pointer": "1234 0100 0001 0000 0000 0000 c00c 0001 0001",
    "a label of 192 bytes": `1234 0100 0001 0000 0000 0000 c0${"61".repeat(192)} 00 0001 0001`,
    "no end of the name": "1234 0100 0001 0000 0000 0000 0161",
    "no type": `1234 0100 0001 0000 0000 0000 ${question} 0001`,
    "another class": `1234 0100 0001 0000 0000 0000 ${question} 0001 0003`,
    "a name of more than 255 bytes": `1234 0100 0001 0000 0000 0000 ${`3f${"61".repeat(63)}`.repeat(4)} 00 0001 0001`,
  };
  for (const [what, message] of Object.entries(cases)) assert.equal(decodeQuery(hex(message)), undefined, what);
});

function flat(text: string): string {
  return text.replaceAll(" ", "");
}

function hex(text: string): Uint8Array {
  const bytes = fromHex(flat(text));
  assert(bytes !== undefined);
  return bytes;
}
