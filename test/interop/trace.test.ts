import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Endpoint } from "../../src/base/address.ts";
import { sendDatagram } from "../../src/os/datagram.ts";
import { openUdpSockets } from "../../src/os/udp-socket.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { Machine, type Outcome, type Program } from "./machine.ts";
import { slowdown, within } from "./patience.ts";
import { ping } from "./ping.ts";
import { TracedPair } from "./traced-pair.ts";
import { inside } from "./tunnel-pair.ts";
import { until } from "./two-tunnels.ts";
import { warrenCommand } from "./warren-process.ts";
import { requireWireguardGo } from "./wireguard-go.ts";

const transferProgram = [process.execPath, fileURLToPath(new URL("./transfer.ts", import.meta.url))];
const megabyte = 1_000_000;

interface Seen {
  readonly device: string;
  readonly length: number;
  readonly bytes: string;
}

interface PacketEvent {
  readonly number: number;
  readonly direction: "out" | "in";
  readonly title: string;
  readonly inside: Seen & { readonly fields: readonly { readonly name: string; readonly value: string }[] };
  readonly superPacket: boolean;
  readonly route: { readonly matches: string; readonly prefix: number; readonly kind: string; readonly device: string };
  readonly peer: { readonly publicKey: string; readonly allowedIp: string; readonly endpoint: string };
  readonly outside: Outside | null;
  readonly answers: { readonly number: number; readonly changes: readonly { readonly field: string }[] } | null;
}

interface Outside extends Seen {
  readonly source: string;
  readonly destination: string;
  readonly message: { readonly kind: string; readonly length: number; readonly counter: number };
  readonly afterMs: number;
  readonly paddingBytes: number;
  readonly candidates: number;
}

interface EndEvent {
  readonly points: readonly {
    readonly side: string;
    readonly device: string;
    readonly seen: number;
    readonly dropped: number;
  }[];
  readonly shown: number;
  readonly matched: number;
  readonly passedOver: number;
  readonly pcap: { readonly packets: number } | null;
}

function isReady(t: TestContext): boolean {
  return requireNamespaces(t) && requireProgram(t, "ping", "iputils-ping") !== undefined;
}

/** The next event of this title, of this direction. */
async function nextPacket(trace: Program, direction: "out" | "in", title: string): Promise<PacketEvent> {
  for (;;) {
    const event: PacketEvent = JSON.parse(await trace.line(/"event":"packet"/));
    if (event.direction === direction && event.title.startsWith(title)) return event;
  }
}

/** Ends it as Ctrl-C does, and sees that it was quick. */
async function interrupt(trace: Program): Promise<Outcome> {
  trace.kill("SIGINT");
  const outcome = await within(2000 * slowdown(), "the trace to end", trace.outcome);
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stderr, "");
  return outcome;
}

function endOf({ stdout }: Outcome): EndEvent {
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "warren-trace-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

describe("warren trace", { concurrency: 1, timeout: 120_000 }, () => {
  test("follows a ping out and its reply in: route, peer, message, and what changed", async (t) => {
    if (!isReady(t)) return;
    using pair = await TracedPair.open();
    await ping(pair.left, inside.right[4]); // the handshake
    const trace = await pair.trace("left", "--json");
    for (const [family, prefix, size, padding] of [[4, 24, 84, 12] as const, [6, 64, 104, 8] as const]) {
      const target = inside.right[family];
      await ping(pair.left, target);
      const name = family === 4 ? "ICMP" : "ICMPv6";
      const request = await nextPacket(trace, "out", `${name} echo request`);
      const reply = await nextPacket(trace, "in", `${name} echo reply`);
      assert.equal(request.inside.device, pair.names.left);
      assert.equal(request.inside.length, size);
      assert.equal(request.inside.fields.find((field) => field.name === "destination")?.value, target);
      assert.deepEqual([request.route.prefix, request.route.device], [prefix, pair.names.left]);
      assert.deepEqual(
        [reply.route.kind, reply.route.matches],
        ["local", `${inside.left[family]}/${family === 4 ? 32 : 128}`],
      );
      for (const { peer } of [request, reply]) {
        const allowedIp = `${target}/${family === 4 ? 32 : 128}`;
        assert.deepEqual(peer, { publicKey: pair.publicKeys.right, allowedIp, endpoint: "192.0.2.2:5002" });
      }
      const [there, back] = [request.outside ?? assert.fail("no message out"), reply.outside ?? assert.fail("none in")];
      assert.deepEqual([there.source, there.destination], ["192.0.2.1:5001", "192.0.2.2:5002"]);
      assert.deepEqual([back.source, back.destination], ["192.0.2.2:5002", "192.0.2.1:5001"]);
      for (const { device, message, length, paddingBytes, candidates } of [there, back]) {
        assert.deepEqual([device, message.kind, paddingBytes, candidates], ["eth0", "data", padding, 1]);
        assert.equal(message.length, 16 + size + padding + 16);
        assert.equal(length, message.length + 28);
      }
      assert.ok(there.afterMs > 0 && back.afterMs < 0, `${there.afterMs} ms later, ${back.afterMs} ms earlier`);
      assert.ok(!there.bytes.includes(request.inside.bytes.slice(-64)), "the payload shows outside");
      assert.equal(reply.answers?.number, request.number);
      const changed = reply.answers?.changes.map(({ field }) => field) ?? [];
      assert.ok(
        changed.includes("type") && changed.includes("source") && !changed.includes("identifier"),
        changed.join(),
      );
    }
    const end = endOf(await interrupt(trace));
    assert.equal(end.matched, 4); // of more that may be shown: IPv6 looks for neighbours and routers by itself
    assert.deepEqual(
      end.points.map(({ side, device, dropped }) => [side, device, dropped]),
      [
        ["inside", pair.names.left, 0],
        ["outside", "eth0", 0],
      ],
    );
    assert.ok(end.points[1].seen >= 4);
  });

  test("shows a handshake, and says all of it to people", async (t) => {
    if (!isReady(t)) return;
    using pair = await TracedPair.open();
    const trace = await pair.trace("left");
    const server = await pair.trace("right"); // which does not know yet where its peer is
    await ping(pair.left, inside.right[4]);
    const initiation = /eth0, 176 bytes: UDP 192\.0\.2\.1:5001 > 192\.0\.2\.2:5002, initiation$/;
    await server.line(initiation);
    await server.line(/^ {3}\d {2}eth0 in, [0-9.]+ ms earlier, 156 bytes: UDP .*, data, .*, counter 0$/);
    await interrupt(server);
    await trace.line(initiation);
    await trace.line(/eth0, 120 bytes: UDP 192\.0\.2\.2:5002 > 192\.0\.2\.1:5001, response, receiver 0x[0-9a-f]{8}$/);
    await trace.line(/^\d+ {2}out {2}[0-9:.]{15} {2}ICMP echo request 1 10\.8\.0\.1 > 10\.8\.0\.2$/);
    await trace.line(
      /^ {3}1 {2}kernel: 10\.8\.0\.2 matches 10\.8\.0\.0\/24, prefix length 24: dev .*, source 10\.8\.0\.1$/,
    );
    await trace.line(/^ {6}0000 {2}4500 0054 /);
    await trace.line(/^ {3}3 {2}tunnel: peer .{43}=, allowed IP 10\.8\.0\.2\/32, at 192\.0\.2\.2:5002$/);
    await trace.line(
      /^ {3}4 {2}eth0 out, [0-9.]+ ms later, 156 bytes: UDP .*, data, receiver 0x[0-9a-f]{8}, counter 0$/,
    );
    await trace.line(/^ {6}16 header \+ 84 packet \+ 12 padding \+ 16 tag = 128 bytes$/);
    await trace.line(/^ {3}answers \d+ after [0-9.]+ ms; since then:$/);
    await trace.line(/^ {6}ICMP type 8 \(echo request\) → 0 \(echo reply\)$/);
    const { stdout } = await interrupt(trace);
    assert.match(stdout, /^inside, .*: \d+ seen, 0 of them not captured for want of room\noutside, eth0: \d+ seen/m);
  });

  test("keeps what it saw in a file of its owner's that tcpdump reads, and replaces none unasked", async (t) => {
    if (!isReady(t)) return;
    using pair = await TracedPair.open();
    const folder = temporaryFolder(t);
    const file = join(folder, "seen.pcapng");
    const trace = await pair.trace("left", "--pcap", file, "--json", "--count", "2");
    await ping(pair.left, inside.right[4]);
    const outcome = await within(30_000, "the end after two packets", trace.outcome);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(endOf(outcome).shown, 2);
    const { packets = 0 } = endOf(outcome).pcap ?? {};
    assert.ok(packets >= 6, `${packets} packets`); // and what IPv6 sends by itself
    assert.equal(statSync(file).mode & 0o777, 0o600);

    const refused = (...parameters: string[]) => {
      const program = pair.left.start(warrenCommand([], "trace", pair.names.left, "--pcap", ...parameters));
      return within(30_000, "the trace to be refused", program.outcome);
    };
    const again = await refused(file);
    assert.equal(again.code, 1);
    assert.equal(again.stderr, `warren: ${file} exists: choose another file, or add --force where it is one\n`);
    const pipe = join(folder, "pipe");
    await pair.left.run("mkfifo", pipe);
    assert.match((await refused(pipe, "--force")).stderr, /^warren: \S+\/pipe exists/);
    assert.equal(statSync(pipe).isFIFO(), true);
    const target = join(folder, "precious");
    writeFileSync(target, "precious", { mode: 0o644 });
    const link = join(folder, "link.pcapng");
    symlinkSync(target, link);
    const forced = await pair.trace("left", "--pcap", link, "--force", "--json");
    await interrupt(forced);
    assert.equal(readFileSync(target, "utf8"), "precious", "the link was followed");
    assert.equal(statSync(link).mode & 0o777, 0o600);

    const tcpdump = requireProgram(t, "tcpdump", "tcpdump");
    if (tcpdump === undefined) return;
    const read = await pair.left.run(tcpdump, "-nr", file);
    assert.match(read, /IP 10\.8\.0\.1 > 10\.8\.0\.2: ICMP echo request, id \d+, seq 1, length 64$/m);
    assert.match(read, /IP 10\.8\.0\.2 > 10\.8\.0\.1: ICMP echo reply/);
    assert.match(read, /IP 192\.0\.2\.1\.5001 > 192\.0\.2\.2\.5002: UDP, length 148$/m);
    assert.match(read, /IP 192\.0\.2\.1\.5001 > 192\.0\.2\.2\.5002: UDP, length 128$/m);
    assert.equal(read.trim().split("\n").length, packets);
  });

  test("passes over most of a TCP stream, in bounded memory, and counts it", async (t) => {
    if (!isReady(t)) return;
    using pair = await TracedPair.open();
    await ping(pair.left, inside.right[4]);
    const file = join(temporaryFolder(t), "stream.pcapng");
    const trace = await pair.trace("left", "--json", "--pcap", file);
    const before = trace.residentBytes;
    const bytes = String(100 * megabyte);
    const server = pair.right.start([...transferProgram, "serve", "7000", bytes]);
    await server.line(/listening/);
    const client = pair.left.start([...transferProgram, "connect", inside.right[4], "7000", bytes]);
    await Promise.all([server, client].map((program) => program.line(/^\{/)));
    assert.ok(trace.residentBytes - before < 100 * megabyte, `${before} to ${trace.residentBytes}`);
    const end = endOf(await interrupt(trace));
    for (const { seen, dropped } of end.points) assert.ok(seen > 1000 && dropped > seen / 2, `${seen} ${dropped}`);
    assert.ok(end.shown < 1000);
    assert.ok(statSync(file).size < 20 * megabyte);
  });

  test("shows a few of a flood of handshakes, and counts the others", async (t) => {
    if (!isReady(t)) return;
    using pair = await TracedPair.open();
    const trace = await pair.trace("right", "--json");
    const initiation = new Uint8Array(148);
    initiation[0] = 1;
    using sockets = pair.left.namespace.run(() => openUdpSockets({ port: 0 }));
    const arrived = () => pair.right.proc("net/snmp").match(/^Ip: (?:\d+ ){2}(\d+)/m)?.[1];
    await ping(pair.left, "192.0.2.2"); // so that no datagram waits for the neighbour to be found
    const before = Number(arrived());
    for (let i = 1; i <= 1000; i++) {
      assert.equal(sendDatagram(sockets, initiation, Endpoint.parse("192.0.2.2:5002")), 0);
      // No queue on the way overflows.
      if (i % 100 === 0) await until(`${i} datagrams to arrive`, () => Number(arrived()) >= before + i);
    }
    await trace.line(/"kind":"initiation"/);
    const outcome = await interrupt(trace);
    const { passedOver, points } = endOf(outcome);
    const shown = outcome.stdout.match(/"event":"message"/g)?.length ?? 0;
    assert.ok(shown > 0 && shown < 100, `${shown} shown`);
    assert.ok(passedOver > 0);
    assert.equal(points[1].seen, 1000);
  });

  test("looks at the tunnel of another program", async (t) => {
    if (!isReady(t) || !requireWireguardGo(t, "wireguard-go")) return;
    using pair = await TracedPair.open({ right: "wireguard-go" });
    await ping(pair.left, inside.right[4]);
    const trace = await pair.trace("right", "--json");
    await ping(pair.left, inside.right[4]);
    const request = await nextPacket(trace, "in", "ICMP echo request");
    assert.equal(request.outside?.message.kind, "data");
    assert.equal(request.peer.publicKey, pair.publicKeys.left);
    await interrupt(trace);
  });

  test("ends with a reason when the interface goes away", async (t) => {
    if (!isReady(t)) return;
    using pair = await TracedPair.open();
    const trace = await pair.trace("left", "--json");
    pair.left.config.links.delete(pair.left.indexOf(pair.names.left));
    const outcome = await within(30_000, "the end", trace.outcome);
    assert.deepEqual([outcome.code, outcome.stderr], [1, `warren: ${pair.names.left} has gone\n`]);
    assert.equal(endOf(outcome).points[0].device, pair.names.left);
  });

  const wrong: [what: string, parameters: readonly string[], code: number, complaint: RegExp][] = [
    ["no tunnel of that name", ["nosuch0"], 1, /^warren: there is no tunnel nosuch0\n$/],
    ["a name that leads elsewhere", ["../../etc/x"], 2, /^warren: "\.\.\/\.\.\/etc\/x" is not an interface name\n$/],
    ["to replace a file that is not named", ["wg0", "--force"], 2, /^warren: --force replaces[^\n]*\n$/],
    ["a count that is none", ["wg0", "--count", "0"], 2, /^warren: --count takes a whole number[^\n]*\n$/],
  ];
  for (const [what, parameters, expected, complaint] of wrong) {
    test(`refuses ${what} in one line`, async (t) => {
      if (!requireNamespaces(t)) return;
      using host = new Machine();
      const { code, stderr } = await host.start(warrenCommand([], "trace", ...parameters)).outcome;
      assert.match(stderr, complaint);
      assert.equal(code, expected);
    });
  }

  test("leaves no file behind where there is no tunnel", async (t) => {
    if (!isReady(t)) return;
    using pair = await TracedPair.open();
    const file = join(temporaryFolder(t), "seen.pcapng");
    // The control socket is found from every namespace, the interface is not.
    const { code, stderr } = await pair.right.start(warrenCommand([], "trace", pair.names.left, "--pcap", file))
      .outcome;
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^warren: there is no interface \S+ in this network namespace: enter the one it is in[^\n]*\n$/,
    );
    assert.equal(statSync(file, { throwIfNoEntry: false }), undefined);
  });
});
