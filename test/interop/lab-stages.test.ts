/** The lab's stages, each as a whole command: what it must show, and that it fails where what it shows is not so. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LabRecord } from "../../src/lab/record.ts";
import type { ClassicSteps } from "../../src/lab/stages/classic-account.ts";
import type { PrefixSteps } from "../../src/lab/stages/prefix-account.ts";
import type { TunSteps } from "../../src/lab/stages/tun-account.ts";
import { requireThat } from "../requirements.ts";
import { asNobody, canBeNobody, canUnshare, detailsOf, failure, lab, verified } from "./lab-process.ts";

const timeout = 300_000; // for all of them, on one slow CPU
const skip = process.env.WARREN_REQUIRE_PEERS !== "1" && !canUnshare() && "namespaces cannot be made here";

describe("the lab's stages", { concurrency: 2, timeout, skip }, () => {
  test("a stage that there is not is wrong usage, and those that there are come with it", async () => {
    const { status, output, errors } = await lab(["--stage", "nonsense"]).ended;
    assert.deepEqual({ status, output }, { status: 2, output: "" });
    assert.match(errors, /^[^\n]*nonsense[^\n]* wireguard, tun,[^\n]*\n$/);
  });

  test("what one stage can break another cannot", async () => {
    const { status, errors } = await lab(["--stage", "tun", "--break", "nat"]).ended;
    assert.equal(status, 2);
    assert.match(errors, /^[^\n]*stage tun [^\n]* nat [^\n]* checksum\n$/);
  });

  test("tun: a device is made call by call, and a ping answered by hand", async () => {
    checkTun(await verified(["--stage", "tun"]));
  });

  test("tun: by an ordinary user", async (t) => {
    if (!requireThat(t, canBeNobody(t), "it needs root, setpriv, and a checkout that others may read")) return;
    const record = await verified(["--stage", "tun"], asNobody);
    assert.equal(record.privilege, "user");
    checkTun(record);
  });

  test("tun: a reply whose checksum is wrong is no reply", async () => {
    assert.match(await failure(["--stage", "tun", "--break", "checksum"]), /step answer failed: .* but it got none/);
  });

  test("tun: for people, the packet stands there byte by byte", async () => {
    const { status, output } = await lab(["--stage", "tun"]).ended;
    assert.equal(status, 0);
    assert.match(output, /ioctl\(fd, TUNSETIFF = 0x400454ca, &ifr\) = 0: there is now an interface tun0/);
    assert.match(output, /^ {4}0000 {2}4500 0054 /m);
    assert.match(output, /^ {8} 8 {2}40 +IPv4 time to live +64$/m);
    assert.match(output, /says: 64 bytes from 8\.8\.8\.8: icmp_seq=1/);
  });

  for (const { who, prefix } of [
    { who: "root", prefix: [] },
    { who: "an ordinary user", prefix: asNobody },
  ]) {
    test(`prefix: one address goes through the tunnel and its neighbour does not, for ${who}`, async (t) => {
      if (prefix === asNobody && !requireThat(t, canBeNobody(t), "it needs root and setpriv")) return;
      checkPrefix(await verified(["--stage", "prefix"], prefix));
    });
  }

  test("prefix: without its route 8.8.8.8 is one of the neighbours", async () => {
    assert.match(
      await failure(["--stage", "prefix", "--break", "route"]),
      /step choice failed: .*length 32 by wg0 for 8\.8\.8\.8, but it chooses 8\.0\.0\.0\/8 by eth0$/m,
    );
  });

  test("classic: the seed's VPN works, says the seed's lines, and is read by whoever is on the way", async () => {
    checkClassic(await verified(["--stage", "classic"]));
  });

  test("classic: by an ordinary user", async (t) => {
    if (!requireThat(t, canBeNobody(t), "it needs root, setpriv, and a checkout that others may read")) return;
    const record = await verified(["--stage", "classic"], asNobody);
    assert.equal(record.privilege, "user");
    checkClassic(record);
  });

  for (const [part, seen] of [
    ["nat", /step nat failed: .* but they come from 10\.8\.0\.2$/m],
    ["route", /step route failed: .* but the kernel chooses 0\.0\.0\.0\/0 by eth0$/m],
  ] as const) {
    test(`classic: --break ${part} makes the step ${part} fail`, async () => {
      assert.match(await failure(["--stage", "classic", "--break", part]), seen);
    });
  }
});

function checkTun(record: LabRecord): void {
  const detail = detailsOf<TunSteps>(record);
  const [before, after] = [detail("attach").before, detail("attach").after].map((hex) => Buffer.from(hex, "hex"));
  assert.deepEqual([before.length, after.length], [40, 40]);
  assert.equal(before.toString("latin1", 0, 6), "tun%d\0");
  assert.equal(after.toString("latin1", 0, 5), "tun0\0");
  assert.equal(before.readUInt16LE(16), 0x1001);
  assert.deepEqual(detail("address").addresses, ["10.8.0.2/24", "fd10:8::2/64"]);
  assert.deepEqual(detail("up").routes, ["10.8.0.0/24 dev tun0", "fd10:8::/64 dev tun0"]);
  for (const [request, reply, length, source, destination] of [
    [detail("read"), detail("answer"), 84, "10.8.0.2", "8.8.8.8"],
    [detail("read6"), detail("answer6"), 104, "fd10:8::2", "2001:4860:4860::8888"],
  ] as const) {
    assert.equal(request.bytes.length, length * 2);
    assert.equal(request.fields.map(({ bytes }) => bytes).join(""), request.bytes, "every byte is in a field");
    const value = (name: string) => request.fields.find((field) => field.name === name)?.value;
    assert.deepEqual([value("source"), value("destination")], [source, destination]);
    assert.match(value("checksum") ?? "", /, right$/);
    assert.equal(reply.written, length);
    assert.deepEqual(
      reply.ping.replies.map(({ from }) => from),
      [destination],
    );
    assert.equal(reply.changes.length, 4, reply.changes.join());
  }
  assert.equal(detail("close").gone, "tun0");
}

function checkClassic(record: LabRecord): void {
  const detail = detailsOf<ClassicSteps>(record);
  assert.match(detail("server").said.join("\n"), /tun0 is up, listening on TCP 203\.0\.113\.10:5555/);
  assert.match(detail("client").said.join("\n"), /XOR with 0x42 hides nothing/);
  const chosen = detail("route").routes.filter(({ chosenFor }) => chosenFor !== null);
  assert.deepEqual(
    chosen.map(({ destination, device }) => `${destination} ${device}`),
    ["8.8.8.8/32 tun0"],
  );
  assert.equal(detail("ping").run.replies.length, 3);
  assert.deepEqual([...new Set(detail("lines").client)].sort(), [
    "[SERVER→TUN] Received 84 bytes, decrypting...",
    "[TUN→SERVER] Read 84 bytes from TUN, encrypting...",
  ]);
  assert.deepEqual([...new Set(detail("lines").server)].sort(), [
    "[CLIENT→TUN] Received 84 bytes, decrypting...",
    "[TUN→CLIENT] Read 84 bytes from TUN, encrypting...",
  ]);
  assert.deepEqual(detail("nat"), { inTunnel: "10.8.0.2", atDestination: "203.0.113.10" });
  assert.deepEqual(detail("key"), { captured: 0x07, known: 0x45, key: 0x42 });
  assert.equal(detail("eavesdropper").showingPayload, 0);
  const { packets, fromDevice, fields } = detail("plaintext");
  assert(fromDevice >= 3 && packets >= fromDevice);
  assert.equal(fields.find(({ name }) => name === "destination")?.value, "8.8.8.8");
}

function checkPrefix(record: LabRecord): void {
  const detail = detailsOf<PrefixSteps>(record);
  assert.deepEqual(detail("table").matching.toSorted(), ["0.0.0.0/0", "8.0.0.0/8", "8.8.8.8/32"]);
  const chosen = (name: "choice" | "without" | "again") =>
    detail(name).answers.map(({ asked, destination, prefix, device }) => `${asked} ${destination} ${prefix} ${device}`);
  const others = [
    "8.8.4.4 8.0.0.0/8 8 eth0",
    "2001:4860:4860::8844 2001:4860::/32 32 eth0",
    "203.0.113.10 0.0.0.0/0 0 eth0",
    "2001:db8:2::10 ::/0 0 eth0",
  ];
  const narrow = ["8.8.8.8 8.8.8.8/32 32 wg0", "2001:4860:4860::8888 2001:4860:4860::8888/128 128 wg0"];
  const wide = ["8.8.8.8 8.0.0.0/8 8 eth0", "2001:4860:4860::8888 2001:4860::/32 32 eth0"];
  assert.deepEqual(chosen("choice"), [...narrow, ...others]);
  assert.deepEqual(chosen("without"), [...wide, ...others]);
  assert.deepEqual(chosen("again"), chosen("choice"));
  const paths = (name: "paths" | "without") =>
    detail(name).paths.map(({ inTunnel, outside, seenFrom, replies }) => [inTunnel, outside, seenFrom, replies]);
  const beside = [
    [0, 2, "198.51.100.2", 2],
    [0, 2, "2001:db8:1::2", 2],
  ];
  assert.deepEqual(paths("paths"), [[2, 0, "203.0.113.10", 2], [2, 0, "2001:db8:2::10", 2], ...beside]);
  assert.deepEqual(paths("without"), [...beside, ...beside]);
}
