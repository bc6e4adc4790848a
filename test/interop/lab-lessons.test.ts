/**
 * The lab's lessons, the stages that the tutorial is made of, run as an ordinary user where that is possible. What they
 * print, as whoever runs the tests, is compared with the tutorial in `tutorial.test.ts`; here it is the record.
 */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { LabRecord } from "../../src/lab/record.ts";
import type { FramingSteps } from "../../src/lab/stages/framing-account.ts";
import type { MtuSteps } from "../../src/lab/stages/mtu-account.ts";
import type { NoiseSteps } from "../../src/lab/stages/noise-account.ts";
import type { ReplaySteps } from "../../src/lab/stages/replay-account.ts";
import type { XorSteps } from "../../src/lab/stages/xor-account.ts";
import { asNobody, canBeNobody, canUnshare, detailsOf, verified } from "./lab-process.ts";

const timeout = 300_000; // for all of them, on one slow CPU
const skip = process.env.WARREN_REQUIRE_PEERS !== "1" && !canUnshare() && "namespaces cannot be made here";

describe("the lab's lessons, for an ordinary user", { timeout, skip }, () => {
  test("framing: the naive reader loses packets that warren's finds in the same bytes", async (t) => {
    const detail = detailsOf<FramingSteps>(await learn(t, "framing"));
    const { reads, whole, joined, short, torn, packets, survivors } = detail("reads");
    assert.equal(whole + joined + short + torn, reads);
    assert.ok(survivors < packets, `${survivors} of ${packets}`);
    const { packets: found, rest } = detail("boundaries");
    assert.equal(found, packets);
    assert.ok(rest < 1500);
    const { bytes, packetBytes, header, next } = detail("fault");
    assert.ok(bytes > packetBytes);
    for (const start of [header, next]) assert.match(start, /^45 00 /);
    assert.ok(detail("warren").megabitsPerSecond > detail("stream").megabitsPerSecond);
    assert.ok(detail("stream").repeated > 0);
  });

  test("xor: the key, the page and the password come out of captured bytes", async (t) => {
    const detail = detailsOf<XorSteps>(await learn(t, "xor"));
    assert.equal(detail("capture").containingPassword, 0);
    const { byStatistics, byFirstByte, trials, unsound, of } = detail("key");
    assert.deepEqual([byStatistics, byFirstByte, trials[0].key, trials[1].explained], [0x42, 0x42, 0x42, 0]);
    assert.ok(unsound === 1 && trials[0].explained === of - 28, "all but the greeting");
    const { request, response, credentials } = detail("plaintext");
    assert.equal(request[0], "GET /diary HTTP/1.1");
    assert.equal(response[0], "HTTP/1.1 200 OK");
    assert.equal(credentials, "rabbit:three-carrots");
    const { before, after } = detail("replay");
    assert.deepEqual([before, after], [1, 2]);
  });

  test("noise: every byte of the three messages has its place, and no key is in the record", async (t) => {
    const record = await learn(t, "noise");
    const detail = detailsOf<NoiseSteps>(record);
    for (const [name, bytes, fields] of [
      ["initiation", 148, 8],
      ["response", 92, 8],
      ["data", 128, 5],
    ] as const) {
      const message = detail(name);
      assert.deepEqual([message.bytes, message.fields.length], [bytes, fields], name);
      assert.equal(message.fields.map((field) => field.bytes).join("").length, 2 * bytes);
    }
    const { rows } = detail("transcript");
    assert.equal(rows.length, 8);
    assert.equal(new Set(rows.map(({ hash }) => hash)).size, 8);
    assert.deepEqual(Object.keys(rows[0]), ["what", "bytes", "hash", "secrets"]);
    const same = detail("again").fields.filter((field) => field.same);
    assert.deepEqual(
      same.map(({ name }) => name),
      ["type", "reserved", "mac2"],
    );
    assert.ok(!JSON.stringify(record).includes("rivateKey"));
  });

  test("replay: each repetition is dropped for its own reason, and sessions follow one another", async (t) => {
    const detail = detailsOf<ReplaySteps>(await learn(t, "replay"));
    assert.equal(detail("answered").pings, 2);
    assert.deepEqual(
      detail("drops").counted.map(({ reason, count }) => `${count} ${reason}`),
      ["1 handshake-replayed", "1 message-replayed", "1 message-undecryptable", "1 index-unknown"],
    );
    assert.deepEqual(detail("clock").handshakes, [0, 120, 240, 360]);
    assert.equal(detail("clock").packets, 400);
    const { acts } = detail("rekey");
    assert.equal(new Set(acts.flatMap(({ remoteIndex }) => remoteIndex ?? [])).size, 3);
    assert.deepEqual(
      acts.map(({ answered }) => answered),
      [true, true, true, true, true, true, true, false],
    );
  });

  test("mtu: what is too long is refused or fragmented, and TCP in TCP holds up what is beside it", async (t) => {
    const detail = detailsOf<MtuSteps>(await learn(t, "mtu"));
    assert.deepEqual(detail("fits").pairs, [
      { inner: 100, outer: 172 },
      { inner: 1420, outer: 1480 },
    ]);
    assert.deepEqual(detail("refused"), { outcomes: [{ length: 1421, outcome: "refused", mtu: 1420 }], packets: [] });
    assert.deepEqual(
      detail("fragments").packets.map(({ bytes, nextMtu }) => nextMtu ?? bytes),
      [1420, 21, 1420, 1420, 21],
    );
    assert.deepEqual(
      detail("narrow").packets.map(({ bytes, nextMtu }) => nextMtu ?? bytes),
      [1480, 1400, 1396, 104],
    );
    const { udp, tcp } = { udp: detail("udp"), tcp: detail("tcp") };
    assert.ok(tcp.loaded.median >= 2 * udp.loaded.median, `${tcp.loaded.median} ms against ${udp.loaded.median} ms`);
    assert.equal(udp.outer, null);
    assert.ok((tcp.outer?.repeated ?? 0) > 0);
  });
});

/** Runs a lesson to its end. */
async function learn(t: TestContext, stage: string): Promise<LabRecord> {
  const nobody = canBeNobody(t);
  const record = await verified(["--stage", stage], nobody ? asNobody : []);
  assert.equal(record.stage, stage);
  if (nobody) assert.equal(record.privilege, "user");
  return record;
}
