/** What strangers can do to a relay's port: nothing that its peers would notice, and nothing that adds up. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";
import { Endpoint } from "../../src/base/address.ts";
import { defaultLimits } from "../../src/transport/datagram-link.ts";
import { DatagramPort } from "../../src/transport/datagram-port.ts";
import { defaultGuestLimits, type GuestFault, type GuestLimits } from "../../src/transport/guest-list.ts";
import { RelayClient } from "../../src/transport/relay-client.ts";
import { RelayServer } from "../../src/transport/relay-server.ts";
import { dial } from "../../src/transport/stream-dialer.ts";
import { TransportUrl } from "../../src/transport/transport-url.ts";
import { WebSite } from "../../src/transport/web-site.ts";
import { makeCertificate } from "../certificate.ts";
import { slowdown, within } from "./patience.ts";
import { hastyClock, Message, message, stranger, strangerUnderLoad, Target } from "./relay-target.ts";
import { PlainConnection } from "./udp-over-tcp.ts";

const identity = makeCertificate();
const path = "/tunnel";
const patienceMs = 10_000;

class Relay implements Disposable {
  readonly server: RelayServer;
  readonly port: number;
  readonly target: Target;
  readonly reasons: string[] = [];

  static async open(limits: Partial<GuestLimits> = {}): Promise<Relay> {
    const target = await Target.open();
    const reasons: string[] = [];
    const server = await RelayServer.open({
      ports: [{ local: Endpoint.parse("127.0.0.1:0"), accepts: new Set(["tcp", "tls", "ws", "wss"]), path }],
      target: () => target.endpoint,
      identity,
      site: WebSite.plain(),
      guestLimits: { ...defaultGuestLimits, ...limits },
      clock: hastyClock,
      onEvent: (event) => {
        if (event.kind === "closed") reasons.push(event.reason);
      },
    });
    return new Relay(server, target, reasons);
  }

  private constructor(server: RelayServer, target: Target, reasons: string[]) {
    this.server = server;
    this.target = target;
    this.reasons = reasons;
    this.port = server.locals[0].port;
  }

  fault(name: GuestFault): number {
    return this.server.guests.faults[name];
  }

  [Symbol.dispose](): void {
    this.server[Symbol.dispose]();
    this.target[Symbol.dispose]();
  }
}

/** A peer with a session, that goes on talking. `stop` tells how much was said and what of it was answered. */
async function talk(port: number): Promise<{ stop(): Promise<{ said: number; answered: number; longestMs: number }> }> {
  const peer = await PlainConnection.open(port);
  peer.send(message(Message.initiation, 148));
  await peer.holds(1);
  let said = 1;
  let longestMs = 0;
  let isOver = false;
  const talking = (async () => {
    while (!isOver) {
      const begun = performance.now();
      peer.send(message(Message.data, 1000));
      await peer.holds(++said);
      longestMs = Math.max(longestMs, performance.now() - begun);
      await pause(5);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await talking;
      peer.socket.destroy();
      return { said, answered: peer.datagrams.length, longestMs };
    },
  };
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** `once` would take a reset for a failure. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => (socket.closed ? resolve() : socket.once("close", () => resolve())));
}

/** Writes bytes one at a time, and never the last. */
async function trickle(socket: Socket, bytes: Uint8Array): Promise<void> {
  for (const byte of bytes.subarray(0, -1)) {
    if (socket.destroyed) return;
    socket.write(Uint8Array.of(byte));
    await pause(30);
  }
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Waits until a number is what it should be; there is no event for it. */
async function becomes(what: string, value: () => number, expected: number): Promise<void> {
  const settled = async (): Promise<void> => {
    while (value() > expected) await pause(20);
  };
  await within(patienceMs, () => `${what}: ${value()} instead of ${expected}`, settled());
}

async function ended(sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) socket.resume();
  await within(
    patienceMs,
    () => `the end of ${sockets.filter(({ closed }) => !closed).length} connections`,
    Promise.all(sockets.map(closed)),
  );
}

describe("a relay's port and strangers", { concurrency: 1, timeout: 120_000 }, () => {
  test("slow-loris in every protocol is cut off, and the peer beside it notices nothing", async () => {
    using relay = await Relay.open();
    const peer = await talk(relay.port);
    const before = descriptors();
    const hello = Buffer.concat([Buffer.of(0x16, 3, 1, 2, 0, 1), randomBytes(100)]);
    const request = Buffer.from(`GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${"x".repeat(400)}`);
    const frame = PlainConnection.frame(message(Message.data, 60_000, stranger));
    const silent = await Promise.all(Array.from({ length: 20 }, () => open(relay.port)));
    const slow = await Promise.all(Array.from({ length: 60 }, () => open(relay.port)));
    const trickling = slow.map((socket, i) => trickle(socket, [hello, request, frame][i % 3].subarray(0, 300)));
    await ended([...silent, ...slow]);
    await Promise.all(trickling);
    const { said, answered, longestMs } = await peer.stop();
    assert.equal(answered, said);
    assert.ok(longestMs < 1000 * slowdown(), `the peer once waited ${longestMs} ms`);
    assert.equal(relay.fault("late"), 40, JSON.stringify(relay.server.guests.faults));
    assert.equal(relay.fault("visit-over"), 20);
    assert.equal(relay.reasons.filter((reason) => reason === "frame-late").length, 20);
    await becomes("descriptors", descriptors, before);
  });

  test("a frame that no datagram can have ends its own connection", async () => {
    using relay = await Relay.open();
    const peer = await talk(relay.port);
    for (const bytes of [Buffer.of(0xff, 0xff), Buffer.of(0xff, 0xe4), randomBytes(200_000).fill(0xff, 0, 2)]) {
      const connection = await PlainConnection.open(relay.port);
      connection.send(message(Message.data, 32));
      await connection.holds(1);
      connection.socket.write(bytes);
      await within(patienceMs, "the end", connection.end());
    }
    assert.deepEqual(relay.reasons, ["frame-too-large", "frame-too-large", "frame-too-large"]);
    const { said, answered } = await peer.stop();
    assert.equal(answered, said);
  });

  test("garbage, in TLS and without, gets what a web server says to it", async () => {
    using relay = await Relay.open();
    const before = descriptors();
    const answers: string[] = [];
    for (let i = 0; i < 40; i++) {
      const socket = await open(relay.port);
      let answer = "";
      socket.on("data", (chunk: Buffer) => {
        answer += chunk.toString("latin1");
      });
      const start = i % 2 === 0 ? Buffer.of(0x16, 3, 1, 0, 100, 1) : Buffer.of(0);
      socket.end(Buffer.concat([start, randomBytes(500)]));
      await ended([socket]);
      answers.push(answer);
    }
    assert.equal(relay.fault("tls-failed"), 20);
    assert.equal(relay.fault("unknown-protocol"), 20);
    assert.ok(answers.every((answer, i) => i % 2 === 0 || answer.startsWith("HTTP/1.1 400 Bad Request")));
    const inside = connectTls({ port: relay.port, host: "127.0.0.1", ca: identity.cert, ALPNProtocols: ["http/1.1"] });
    await once(inside, "secureConnect");
    assert.equal(inside.alpnProtocol, "http/1.1");
    assert.equal(inside.getProtocol(), "TLSv1.3");
    inside.end(randomBytes(500).fill(0, 0, 1));
    const [first]: Buffer[] = await once(inside, "data");
    assert.match(first.toString("latin1"), /^HTTP\/1\.1 400 Bad Request/);
    inside.destroy();
    await becomes("descriptors", descriptors, before);
  });

  test("the path without an upgrade is a page like any other, and so is an upgrade at another path", async () => {
    using relay = await Relay.open();
    const ask = async (line: string, ...headers: string[]): Promise<string> => {
      const socket = await open(relay.port);
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      socket.write([line, "Host: localhost", ...headers, "", ""].join("\r\n"));
      await within(patienceMs, line, once(socket, "data"));
      socket.end();
      await ended([socket]);
      return Buffer.concat(chunks)
        .toString("latin1")
        .replace(/^Date:.*\r\n/m, "");
    };
    const key = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="];
    const upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
    const nowhere = await ask("GET /nowhere HTTP/1.1");
    assert.match(nowhere, /^HTTP\/1\.1 404 /);
    assert.equal(await ask(`GET ${path} HTTP/1.1`), nowhere);
    assert.equal(await ask("GET /other HTTP/1.1", ...upgrade, ...key), nowhere);
    assert.equal(await ask(`GET ${path}/ HTTP/1.1`, ...upgrade, ...key), nowhere);
    assert.match(await ask(`POST ${path} HTTP/1.1`, ...upgrade, ...key), /^HTTP\/1\.1 405 /);
    assert.match(await ask(`GET ${path} HTTP/1.1`, ...upgrade), /^HTTP\/1\.1 400 /);
    assert.match(await ask(`GET ${path} HTTP/1.1`, ...upgrade, ...key), /^HTTP\/1\.1 101 /);
    assert.equal(relay.server.tally.links + relay.server.guests.size, 1);
  });

  test("a WebSocket with what is no datagram ends, and so does one with more than fits", async () => {
    using relay = await Relay.open();
    const lengths: [string | Buffer, string][] = [
      ["text", "not-a-datagram"],
      [Buffer.alloc(65_508), "frame-too-large"],
    ];
    for (const [content, reason] of lengths) {
      const socket = new WebSocket(`wss://127.0.0.1:${relay.port}${path}`, { ca: identity.cert });
      socket.on("error", () => undefined);
      await once(socket, "open");
      socket.send(content);
      await within(patienceMs, reason, once(socket, "close"));
      assert.equal(relay.reasons.at(-1), reason);
    }
  });

  test("a port scan leaves nothing behind", async () => {
    using relay = await Relay.open();
    const peer = await talk(relay.port);
    const before = descriptors();
    for (let round = 0; round < 20; round++) {
      const sockets = await Promise.all(Array.from({ length: 25 }, () => open(relay.port)));
      for (const [i, socket] of sockets.entries()) i % 2 === 0 ? socket.resetAndDestroy() : socket.destroy();
    }
    const { said, answered } = await peer.stop();
    assert.equal(answered, said);
    await becomes("guests", () => relay.server.guests.size, 0);
    await becomes("descriptors", descriptors, before);
  });

  test("a crowd of strangers who speak the protocol neither puts out a peer nor keeps one out", async () => {
    using relay = await Relay.open({ guests: 20 });
    const first = await talk(relay.port);
    const before = descriptors();
    const strangers: PlainConnection[] = [];
    for (let i = 0; i < 200; i++) {
      const connection = await PlainConnection.open(relay.port);
      connection.send(message(Message.initiation, 148, stranger));
      strangers.push(connection);
    }
    await becomes("guests", () => relay.server.guests.size, 20);
    // 19 strangers at both ends of a connection, and their UDP sockets.
    await becomes("descriptors", descriptors, before + 19 * 3);
    const second = await talk(relay.port);
    for (const talker of [first, second]) {
      const { said, answered } = await talker.stop();
      assert.equal(answered, said);
    }
    assert.ok(relay.fault("crowded-out") >= 180, `${relay.fault("crowded-out")} made room`);
    for (const { socket } of strangers) socket.destroy();
  });

  test("a link that the tunnel never answers is ended, and a cookie reply is no answer", async () => {
    using relay = await Relay.open();
    const connections: PlainConnection[] = [];
    for (const whose of [stranger, strangerUnderLoad]) {
      const connection = await PlainConnection.open(relay.port);
      connection.send(message(Message.initiation, 148, whose));
      connections.push(connection);
    }
    for (const connection of connections) await within(patienceMs, "the end", connection.end());
    assert.deepEqual(
      connections.map(({ datagrams }) => datagrams.length),
      [0, 1],
    );
    assert.equal(relay.target.received, 2);
    assert.equal(relay.fault("never-answered"), 2);
    assert.deepEqual(relay.reasons, ["unanswered", "unanswered"]);
  });
});

test("a middlebox that cuts every connection after ten seconds costs a moment each time, and nothing adds up", async () => {
  using relay = await Relay.open();
  using undo = new DisposableStack();
  let cuts = 0;
  const middlebox = createServer((near) => {
    const far = connect({ port: relay.port, host: "127.0.0.1" });
    near.on("error", () => far.destroy()).pipe(far);
    far.on("error", () => near.destroy()).pipe(near);
    hastyClock.after(10_000, () => {
      cuts++;
      near.resetAndDestroy();
      far.resetAndDestroy();
    });
  }).listen(0, "127.0.0.1");
  undo.defer(() => middlebox.close());
  await once(middlebox, "listening");
  const url = TransportUrl.parse(`tcp://127.0.0.1:${(middlebox.address() as AddressInfo).port}`);
  using client = await RelayClient.open({
    listen: Endpoint.parse("127.0.0.1:0"),
    dial: (signal) => dial({ url, limits: defaultLimits }, signal),
    clock: hastyClock,
  });
  let answered = 0;
  using app = await DatagramPort.open({
    local: Endpoint.parse("127.0.0.1:0"),
    remote: client.local,
    onDatagram: () => {
      answered++;
    },
  });
  let said = 0;
  const before = descriptors();
  while (cuts < 8) {
    app.send(message(Message.data, 200));
    said++;
    await pause(2);
  }
  assert.ok(answered > 0.9 * said, `${answered} of ${said} were answered through ${cuts} cuts`);
  assert.ok(client.tally.links >= 7);
  await becomes("descriptors", descriptors, before + 8);
});
