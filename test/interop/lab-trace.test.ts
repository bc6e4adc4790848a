/** `warren lab --trace`: one ping, seen at every place it passes, and what became of it between them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LabRecord } from "../../src/lab/record.ts";
import type { TracePoint, TraceSteps } from "../../src/lab/trace-record.ts";
import { describeChange } from "../../src/packet/difference.ts";
import { requireThat } from "../requirements.ts";
import { asNobody, canBeNobody, canUnshare, detailsOf, failure, lab, verified } from "./lab-process.ts";

const timeout = 300_000; // for all of them, on one slow CPU
const skip = process.env.WARREN_REQUIRE_PEERS !== "1" && !canUnshare() && "namespaces cannot be made here";

/** Where the ping and its reply must have been seen; `null` where there are no bytes to see. */
const places = (device: string) => ({
  request: [
    "client -",
    "client null",
    `client ${device} out`,
    "client null",
    "client eth0 out",
    "home lan in",
    "home wan out",
    "server eth0 in",
    "server null",
    `server ${device} in`,
    "server eth0 out",
    "dns eth0 in",
  ],
  reply: [
    "dns eth0 out",
    "server eth0 in",
    `server ${device} out`,
    "server null",
    "server eth0 out",
    "home wan in",
    "home lan out",
    "client eth0 in",
    "client null",
    `client ${device} in`,
    "client -",
  ],
});

describe("warren lab --trace", { concurrency: 2, timeout, skip }, () => {
  test("wireguard: a message seals the packet, and the packet comes out as it went in", async () => {
    const [request, reply] = checkPlaces(await verified(["--trace"]), "wg0");
    for (const [wraps, opens] of [
      [request[3], request[8]],
      [reply[3], reply[8]],
    ]) {
      assert(wraps.wrapping?.kind === "sealed");
      const { type, packetBytes, paddingBytes, headerBytes, tagBytes, messageBytes, showingPayload } = wraps.wrapping;
      assert.deepEqual([type, packetBytes, paddingBytes, messageBytes, showingPayload], [4, 84, 12, 128, 0]);
      assert.equal(headerBytes + packetBytes + paddingBytes + tagBytes, messageBytes);
      assert.deepEqual(opens.wrapping, wraps.wrapping);
    }
    assert(request[3].wrapping?.kind === "sealed" && reply[3].wrapping?.kind === "sealed");
    assert.notEqual(request[3].wrapping.receiver, reply[3].wrapping.receiver, "each end chose its own index");
    assert.equal(request[4].bytes?.length, (84 + 12 + 16 + 16 + 8 + 20) * 2);
  });

  test("classic: each byte of the packet is in the stream, XORed", async () => {
    const [request, reply] = checkPlaces(await verified(["--stage", "classic", "--trace"]), "tun0");
    for (const point of [request[3], request[8], reply[3], reply[8]]) {
      assert.deepEqual(point.wrapping, { kind: "xored", packetBytes: 84, streamBytes: 84, key: 0x42 });
    }
  });

  test("an ordinary user sees as much", async (t) => {
    if (!requireThat(t, canBeNobody(t), "it needs root, setpriv, and a checkout that others may read")) return;
    const record = await verified(["--trace"], asNobody);
    assert.equal(record.privilege, "user");
    checkPlaces(record, "wg0");
  });

  test("for people there is a line for each place, and the changes under it", async () => {
    const { status, output } = await lab(["--trace"]).ended;
    assert.equal(status, 0);
    assert.match(output, /^ {5}1 {2}client: application: sendto\(\), 64 bytes {2}\(step 1\)$/m);
    assert.match(output, /^ {8}8\.8\.8\.8 matches 8\.8\.8\.8\/32, prefix length 32: dev wg0, source 10\.8\.0\.2$/m);
    assert.match(output, /^ {8}IPv4 source 10\.8\.0\.2 → 203\.0\.113\.10$/m);
    assert.match(output, /^ {4}10 {2}server: TUN, wg0 in, 84 bytes {2}\(step 9\)\n {8}the same bytes as at 3$/m);
    assert.match(output, /^ {4}23 {2}client: application: recvmsg\(\), 64 bytes/m);
  });

  for (const [part, step, place] of [
    [
      "forward",
      "request",
      /the request to go out by eth0 of the server, but (no packet did|it is not among the \d+ that did)/,
    ],
    [
      "nat",
      "reply",
      /8\.8\.8\.8 to see the ping come from the server, 203\.0\.113\.10, but it came from 10\.8\.0\.2, to which the internet/,
    ],
  ] as const) {
    test(`--break ${part}: the ${step} is missed, and the complaint says why`, async () => {
      const complaint = await failure(["--trace", "--break", part]);
      assert.match(complaint, new RegExp(`step ${step} failed`));
      assert.match(complaint, place);
    });
  }

  test("a stage that has no ping to follow says so", async () => {
    const { status, errors } = await lab(["--stage", "tun", "--trace"]).ended;
    assert.equal(status, 2);
    assert.match(errors, /^warren: the stage tun has no --trace[^\n]*\n$/);
  });
});

/** What must hold for whatever tunnel; returns the points of both directions. */
function checkPlaces(record: LabRecord, device: string): [readonly TracePoint[], readonly TracePoint[]] {
  const detail = detailsOf<TraceSteps>(record);
  const [request, reply] = [detail("request").points, detail("reply").points];
  for (const [points, expected] of [
    [request, places(device).request],
    [reply, places(device).reply],
  ] as const) {
    const seen = points.map(({ host, device: at, direction, bytes }) =>
      [host, ...(bytes === null ? ["null"] : at === null ? ["-"] : [at, direction])].join(" "),
    );
    assert.deepEqual(seen, expected);
  }
  assert.deepEqual(
    [...new Set(request.flatMap(({ seed }) => seed))].sort((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  assert.deepEqual(
    [...new Set(reply.flatMap(({ seed }) => seed))].sort((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  for (const { bytes, fields } of [...request, ...reply])
    assert.equal(fields.map((field) => field.bytes).join(""), bytes ?? "", "every byte is in a field");

  assert.deepEqual(
    [request[1].route?.destination, request[1].route?.prefix, request[1].route?.device, request[1].route?.source],
    ["8.8.8.8/32", 32, device, "10.8.0.2"],
  );
  assert.deepEqual([request[4].route?.prefix, request[4].route?.via], [0, "192.168.1.1"]);
  assert.deepEqual([request[10].route?.prefix, request[10].route?.via], [0, "203.0.113.1"]);
  assert.deepEqual([reply[2].route?.destination, reply[2].route?.device], ["10.8.0.0/24", device]);

  const changes = ({ changes: found }: TracePoint) =>
    found.map(describeChange).filter((change) => !change.includes("checksum"));
  assert.deepEqual(changes(request[2])[0], "IPv4 header of 20 bytes added");
  assert.deepEqual(changes(request[5]), []);
  assert.deepEqual(changes(request[6]), ["IPv4 time to live 64 → 63", "IPv4 source 192.168.1.100 → 198.51.100.2"]);
  assert.deepEqual(changes(request[7]), ["IPv4 time to live 63 → 62"]);
  assert.deepEqual(request[9].changes, [], "the tunnel gives back what it was given");
  assert.equal(request[9].bytes, request[2].bytes);
  assert.deepEqual(changes(request[10]), ["IPv4 time to live 64 → 63", "IPv4 source 10.8.0.2 → 203.0.113.10"]);
  assert(changes(reply[0]).includes("ICMP type 8 (echo request) → 0 (echo reply)"));
  assert.deepEqual(changes(reply[2]), ["IPv4 time to live 63 → 62", "IPv4 destination 203.0.113.10 → 10.8.0.2"]);
  assert.deepEqual(changes(reply[6]), ["IPv4 time to live 63 → 62", "IPv4 destination 198.51.100.2 → 192.168.1.100"]);
  assert.equal(reply[9].bytes, reply[2].bytes);
  assert.deepEqual(changes(reply[10]), ["IPv4 header of 20 bytes removed"]);
  return [request, reply];
}
