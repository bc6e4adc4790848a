import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { converse } from "../../src/tunnel/uapi.ts";
import { ConfigurableTunnel, peerKey } from "../unit/tunnel/configurable-tunnel.ts";

/** The answers to pieces of a stream, and what was described after them. */
async function answer(pieces: readonly Uint8Array[]): Promise<{ answers: string; state: string }> {
  const tunnel = new ConfigurableTunnel();
  const ask = async (input: readonly Uint8Array[]) => {
    let text = "";
    async function* read() {
      for (const piece of input) yield await Promise.resolve(Uint8Array.from(piece)); // what is read is overwritten
    }
    const write = (bytes: Uint8Array) => {
      text += Buffer.from(bytes).toString("latin1");
      return Promise.resolve();
    };
    await converse(read(), { tunnel, write, indexOf: () => undefined });
    return text;
  };
  return { answers: await ask(pieces), state: await ask([Buffer.from("get=1\n\n")]) };
}

function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const places = [0, ...at.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
}

const peer = fc.integer({ min: 1, max: 3 }).map((number) => `public_key=${peerKey(number)}`);
const prefix = fc.tuple(fc.nat(255), fc.nat(32)).map(([byte, length]) => `10.${byte}.0.0/${length}`);
const line = fc.oneof(
  peer,
  prefix.map((text) => `allowed_ip=${text}`),
  prefix.map((text) => `allowed_ip=-${text}`),
  fc.nat(70_000).map((port) => `listen_port=${port}`),
  fc.nat(70_000).map((port) => `endpoint=192.0.2.1:${port}`),
  fc.nat(70_000).map((seconds) => `persistent_keepalive_interval=${seconds}`),
  fc.constantFrom("set=1", "get=1", "", "", "remove=true", "update_only=true", "replace_peers=true", "fwmark=7"),
  fc.constantFrom(
    "replace_allowed_ips=true",
    "protocol_version=1",
    "nonsense",
    "private_key=00",
    `private_key=${"ab".repeat(32)}`,
  ),
  fc.string({ maxLength: 300 }),
);

test("a stream means the same however it is cut, and nothing in it does harm", async () => {
  const cuts = fc.array(fc.nat(5000), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 40 }), cuts, async (lines, at) => {
      const bytes = Buffer.from(["set=1", ...lines, "", ""].join("\n"), "latin1");
      const whole = await answer([bytes]);
      assert.deepEqual(await answer(cut(bytes, at)), whole);
      assert.match(whole.state, /errno=0\n\n$/);
      assert.match(whole.answers, /^errno=(0|-[0-9]+)\n\n/);
    }),
    { numRuns: 300 },
  );
});

test("arbitrary bytes are answered or not, and no more", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), fc.boolean(), async (bytes, isSet) => {
      const input = isSet ? Buffer.concat([Buffer.from("set=1\n"), bytes]) : bytes;
      const { answers } = await answer(cut(input, [7, 70]));
      assert.match(answers, /^(errno=(0|-[0-9]+)\n\n)*$/);
    }),
    { numRuns: 300 },
  );
});
