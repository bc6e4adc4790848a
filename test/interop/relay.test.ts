/** `warren relay` as a command: against an independent implementation of the framing, with its options, and its ends. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { NetworkNamespace } from "../../src/os/namespace.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { Machine, type Program } from "./machine.ts";
import { slowdown, within } from "./patience.ts";
import { CertificateFiles, RelayProcess } from "./relay-process.ts";
import { Message, message, stranger, Target } from "./relay-target.ts";
import { PlainConnection, serveUdpOverTcp } from "./udp-over-tcp.ts";
import { Underlay } from "./underlay.ts";
import { warrenCommand } from "./warren-process.ts";

const lengths = [32, 148, 92, 1000, 1452, 33, 9000];
const patienceMs = 10_000;

/** A host that is where this process is: relays are to be reached from here. */
class Here extends Machine {
  readonly #home = NetworkNamespace.current();

  override start(command: readonly string[], input?: string): Program {
    return super.start(["nsenter", `--net=/proc/${process.pid}/fd/${this.#home.fd}`, ...command], input);
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#home[Symbol.dispose]();
  }
}

function isReady(t: TestContext): boolean {
  return requireNamespaces(t) && requireProgram(t, "nsenter", "util-linux") !== undefined;
}

let lastPort = 23_000;
/** A port that nobody else takes meanwhile: the kernel gives out none below 32,768 by itself, and no other test these. */
const freePort = () => ++lastPort;

describe("warren relay", { concurrency: 1, timeout: 120_000 }, () => {
  test("takes the frames of another implementation, however they are cut", async (t) => {
    if (!isReady(t)) return;
    using host = new Here();
    using target = await Target.open();
    const port = freePort();
    await RelayProcess.start(host, `tcp://127.0.0.1:${port}`, `udp://${target.endpoint}`);
    const connection = await PlainConnection.open(port);
    const sent = lengths.map((length, i) => message(Message.data, length, i));
    const stream = Buffer.concat(sent.map((datagram) => PlainConnection.frame(datagram)));
    for (let at = 0, step = 1; at < stream.length; at += step, step = (step * 7) % 1999) {
      connection.socket.write(stream.subarray(at, at + step));
      await new Promise(setImmediate);
    }
    assert.deepEqual(await within(patienceMs, "all datagrams", connection.holds(sent.length)), sent);
    connection.socket.destroy();
  });

  test("is taken by another implementation, and ends at once", async (t) => {
    if (!isReady(t)) return;
    using host = new Here();
    using target = await Target.open();
    using undo = new DisposableStack();
    const server = await serveUdpOverTcp(target.endpoint.port, undo);
    const port = freePort();
    const relay = await RelayProcess.start(host, `udp://127.0.0.1:${port}`, `tcp://127.0.0.1:${server}`);
    const app = createSocket("udp4");
    undo.defer(() => app.close());
    for (const [i, length] of lengths.entries()) {
      const datagram = message(Message.data, length, i);
      const answer = once(app, "message");
      app.send(datagram, port, "127.0.0.1");
      const [[back]] = await within(patienceMs, `an answer of ${length} bytes`, Promise.all([answer]));
      assert.deepEqual(back, datagram);
    }
    const mostMs = 1000 * slowdown();
    const { code, elapsedMs, report, stderr } = await relay.stop();
    assert.equal(code, 0, stderr);
    assert.ok(elapsedMs < mostMs, `it took ${elapsedMs} ms, not ${mostMs}`);
    assert.deepEqual(report.closed, { "closed-here": 1 });
    assert.deepEqual([report.sentDatagrams, report.receivedDatagrams], [lengths.length, lengths.length]);
  });

  test("reads a new certificate on SIGHUP", async (t) => {
    if (!isReady(t)) return;
    using host = new Here();
    using files = new CertificateFiles();
    const { cert, key } = files;
    const port = freePort();
    const relay = await RelayProcess.start(
      ...([host, `any://127.0.0.1:${port}`, "udp://127.0.0.1:9", "--cert", cert, "--key", key] as const),
    );
    const shown = async (): Promise<string> => {
      const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
      await once(socket, "secureConnect");
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const before = await shown();
    files.renew();
    assert.equal(await shown(), before);
    relay.program.kill("SIGHUP");
    const changed = async (): Promise<void> => {
      while ((await shown()) === before);
    };
    await within(patienceMs, "the new certificate", changed());
  });

  test("checks whose the certificate is, unless told not to", async (t) => {
    if (!isReady(t)) return;
    using host = new Here();
    using files = new CertificateFiles();
    using target = await Target.open();
    const port = freePort();
    const identity = ["--cert", files.cert, "--key", files.key];
    await RelayProcess.start(host, `any://127.0.0.1:${port}/x`, `udp://${target.endpoint}`, ...identity);
    const url = `wss://127.0.0.1:${port}/x`;
    const app = createSocket("udp4");
    try {
      for (const [options, event, detail] of [
        [[], "retrying", /not trusted/],
        [["--ca", files.cert, "--server-name", "other.example"], "retrying", /other names/],
        [["--ca", files.cert], "connected", /127\.0\.0\.1/],
        [["--insecure-accept-any-certificate"], "connected", /127\.0\.0\.1/],
      ] satisfies [string[], string, RegExp][]) {
        const local = freePort();
        const relay = await RelayProcess.start(host, `udp://127.0.0.1:${local}`, url, ...options);
        app.send(message(Message.initiation, 148), local, "127.0.0.1");
        assert.match(JSON.stringify(await relay.event(event, patienceMs)), detail);
        const { stderr } = await relay.stop();
        assert.match(stderr, options[0]?.startsWith("--insecure") === true ? /^warren: warning: any cert/ : /^$/);
      }
    } finally {
      app.close();
    }
  });

  test("has the mark on its sockets before they connect", async (t) => {
    if (!requireNamespaces(t) || requireProgram(t, "ip", "iproute2") === undefined) return;
    using underlay = new Underlay();
    const { left, right } = underlay;
    // Only what carries the mark finds a way to this address.
    await right.run("ip", "address", "add", "198.51.100.1/32", "dev", "lo");
    await left.run(..."ip route add 198.51.100.1/32 via 192.0.2.2 src 192.0.2.1 table 77".split(" "));
    await left.run(..."ip rule add fwmark 0x4d table 77".split(" "));
    await RelayProcess.start(right, "tcp://198.51.100.1:443", "udp://127.0.0.1:9");
    for (const [mark, event] of [
      [["--mark", "0x4d"], "connected"],
      [[], "retrying"],
    ] satisfies [string[], string][]) {
      const relay = await RelayProcess.start(left, "udp://127.0.0.1:51821", "tcp://198.51.100.1:443", ...mark);
      const script = `const s = require("node:dgram").createSocket("udp4"); s.send("x", 51821, "127.0.0.1", () => s.close())`;
      await left.run(process.execPath, "-e", script);
      await relay.event(event, patienceMs);
      await relay.stop();
    }
  });

  test("holds no more than its places allow, however many strangers begin the longest of frames", async (t) => {
    if (!isReady(t)) return;
    using host = new Here();
    using target = await Target.open();
    using undo = new DisposableStack();
    const port = freePort();
    const relay = await RelayProcess.start(host, `tcp://127.0.0.1:${port}`, `udp://${target.endpoint}`);
    const before = relay.program.residentBytes;
    const unfinished = PlainConnection.frame(message(Message.data, 65_507, stranger)).subarray(0, -1);
    const first = PlainConnection.frame(message(Message.initiation, 148, stranger));
    for (let i = 0; i < 400; i++) {
      const { socket } = await PlainConnection.open(port);
      undo.defer(() => socket.destroy());
      await new Promise<void>((resolve) => socket.write(Buffer.concat([first, unfinished]), () => resolve()));
    }
    const peer = await PlainConnection.open(port);
    peer.send(message(Message.initiation, 148));
    await within(patienceMs, "an answer in the crowd", peer.holds(1));
    const grownBytes = relay.program.residentBytes - before;
    const descriptors = readdirSync(`/proc/${relay.program.pid}/fd`).length;
    peer.socket.destroy();
    assert.ok(grownBytes < 120e6, `${grownBytes} bytes for 256 places`);
    assert.ok(descriptors < 2 * 256 + 50, `${descriptors} descriptors`);
    const { report } = await relay.stop();
    assert.equal(report.guests?.["crowded-out"], 401 - 256);
  });

  test("ends with one line and status 2 for wrong usage, 1 for a failure", () => {
    for (const [endpoint, expected, complaint] of [
      ["udp://127.0.0.1:51820", 2, /both ends are UDP/],
      ["tcp://127.0.0.1:1", 1, /bind to UDP 192\.0\.2\.77:1 failed with EADDRNOTAVAIL/],
    ] as const) {
      const [program, ...rest] = warrenCommand([], "relay", "udp://192.0.2.77:1", endpoint);
      const { status, stdout, stderr } = spawnSync(program, rest, { encoding: "utf8" });
      assert.equal(status, expected, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /^warren: [^\n]+\n$/);
      assert.match(stderr, complaint);
    }
  });
});
