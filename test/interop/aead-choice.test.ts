import assert from "node:assert/strict";
import { after, describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { aeadNames } from "../../src/dataplane/packet-aead.ts";
import { requireNamespaces } from "../requirements.ts";
import { FaultyMachine } from "./faulty-machine.ts";
import { Machine, type Outcome } from "./machine.ts";
import { MixedPair } from "./mixed-pair.ts";
import { within as inTime } from "./patience.ts";
import { ping } from "./ping.ts";
import { families } from "./tunnel-pair.ts";
import { within } from "./two-tunnels.ts";
import { warrenCommand } from "./warren-process.ts";

const warrenWg = [process.execPath, fileURLToPath(new URL("../../src/cli/warren-wg.ts", import.meta.url))];
const patienceMs = 30_000;
const config = "[Interface]\nPrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEA=\n";

/** Opens a tunnel, sends pings through it, and ends it: the provider it ran with, and what it said. */
async function run(environment: Readonly<Record<string, string>>): Promise<{ aead: string | undefined; said: string }> {
  await using pair = await MixedPair.open(environment);
  for (const family of families) {
    const { received, output } = await ping(pair.underlay.left, within.right[family]);
    assert.equal(received, 1, output);
  }
  const { status, stderr } = await pair.left.stop();
  return { aead: status?.aead, said: stderr };
}

function up(host: Machine, environment: Readonly<Record<string, string>>): Promise<Outcome> {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return host.start(["env", ...variables, ...warrenCommand([], "up", "-", "--foreground")], config).outcome;
}

describe("the provider of the cipher", { concurrency: 2, timeout: 120_000 }, () => {
  const machine = new FaultyMachine();
  after(() => machine[Symbol.dispose]());
  const isReady = (t: TestContext) => requireNamespaces(t) && machine.isReady(t);

  for (const name of aeadNames) {
    test(`WARREN_AEAD=${name} takes it`, async (t) => {
      if (!requireNamespaces(t)) return;
      assert.deepEqual(await run({ WARREN_AEAD: name }), { aead: name, said: "" });
    });
  }

  test("WARREN_AEAD with another value is refused with the choices, by both commands", async (t) => {
    if (!requireNamespaces(t)) return;
    using host = new Machine();
    const warrenUp = await up(host, { WARREN_AEAD: "rot13" });
    const { outcome } = host.start(["env", "WARREN_AEAD=rot13", ...warrenWg, "-f", "wg0"]);
    const daemon = await inTime(patienceMs, "warren-wg to refuse", outcome);
    for (const { code, stderr } of [warrenUp, daemon]) {
      assert.match(stderr, /^[a-z-]+: WARREN_AEAD is "rot13"[^\n]*choose block, evp or node[^\n]*\n$/);
      assert.equal(code, 2);
    }
  });

  test("one that seals wrongly is passed over, and that is said once", async (t) => {
    if (!isReady(t)) return;
    const { aead, said } = await run(machine.environment("wrong-block"));
    assert.equal(aead, "evp");
    assert.match(said, /^warren: the block provider of [^\n]+ fails its self-test; evp is used instead\n$/);
  });

  test("one that this Node does not have is passed over in silence", async (t) => {
    if (!isReady(t)) return;
    assert.deepEqual(await run(machine.environment("no-block")), { aead: "evp", said: "" });
  });

  for (const [fault, why] of [
    ["wrong-block", "fails its self-test"],
    ["no-block", "is missing"],
  ]) {
    test(`one that was asked for and ${why} is not replaced in silence`, async (t) => {
      if (!isReady(t)) return;
      using host = new Machine();
      const { code, stderr } = await up(host, { ...machine.environment(fault), WARREN_AEAD: "block" });
      assert.match(
        stderr,
        new RegExp(`^warren: the block provider of ChaCha20-Poly1305 ${why} [^\\n]+WARREN_AEAD[^\\n]+\\n$`),
      );
      assert.equal(code, 1);
    });
  }
});
