import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Endpoint } from "../../../src/base/address.ts";
import type { DatagramLink } from "../../../src/transport/datagram-link.ts";
import { MemoryLink } from "../../../src/transport/memory-link.ts";
import { RelayClient, type RelayClientEvent, type RelayClientOptions } from "../../../src/transport/relay-client.ts";
import { Inbox } from "./link-ends.ts";
import { VirtualClock } from "./virtual-clock.ts";

const apps: Socket[] = [];
afterEach(() => {
  for (const app of apps.splice(0)) app.close();
});

/** A relay whose server is this process: each connection it makes is a link in memory, of which we hold the far end. */
class Bench {
  readonly clock = new VirtualClock();
  readonly events: RelayClientEvent[] = [];
  readonly servers: { readonly link: DatagramLink; readonly inbox: Inbox }[] = [];
  /** What dialling does: makes a link, fails, or waits. */
  dialling: "links" | "fails" | "waits" = "links";
  dials = 0;
  relay: RelayClient | undefined;

  async open(options: Partial<RelayClientOptions> = {}): Promise<RelayClient> {
    this.relay = await RelayClient.open({
      listen: Endpoint.parse("127.0.0.1:0"),
      dial: () => this.#dial(),
      clock: this.clock,
      random: () => 0,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    return this.relay;
  }

  get kinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }

  #dial(): Promise<DatagramLink> {
    this.dials++;
    if (this.dialling === "fails") return Promise.reject(new Error("no way"));
    if (this.dialling === "waits") return new Promise(() => {});
    const [near, far] = MemoryLink.pair({ clock: this.clock, random: () => 0.5 });
    this.servers.push({ link: far, inbox: new Inbox(far) });
    return Promise.resolve(near);
  }
}

/** Sends from a UDP socket, and waits until the relay has taken it. */
async function say(relay: RelayClient, bench: Bench, app: Socket, text: string): Promise<void> {
  app.send(text, relay.local.port, "127.0.0.1");
  for (let i = 0; i < 50; i++) await turn();
  bench.clock.advance(1);
}

function open(): Socket {
  const app = createSocket("udp4");
  apps.push(app);
  return app;
}

const texts = (inbox: Inbox): string[] => inbox.datagrams.map((each) => Buffer.from(each).toString());

test("each UDP address has a stream of its own, and gets back what comes on it", async () => {
  const bench = new Bench();
  using relay = await bench.open();
  const [first, second] = [open(), open()];
  await say(relay, bench, first, "one");
  await say(relay, bench, second, "two");
  await say(relay, bench, first, "three");
  assert.equal(bench.dials, 2);
  assert.deepEqual(
    bench.servers.map(({ inbox }) => texts(inbox)),
    [["one", "three"], ["two"]],
  );
  const arrival = once(second, "message");
  bench.servers[1].link.send(Buffer.from("back"));
  bench.clock.advance(1);
  assert.equal(String((await arrival)[0]), "back");
});

test("what comes while there is no connection waits, not for long and not much of it", async () => {
  const bench = new Bench();
  bench.dialling = "fails";
  using relay = await bench.open();
  const app = open();
  await say(relay, bench, app, "stale");
  bench.clock.advance(900);
  assert.equal(bench.dials, 1);
  bench.clock.advance(100); // after 1 s again, then after 2, then after 4
  await turn();
  bench.clock.advance(2000);
  await turn();
  assert.equal(bench.dials, 3);
  bench.dialling = "links";
  bench.clock.advance(3900);
  for (let i = 0; i < 70; i++) app.send(`fresh ${i}`, relay.local.port, "127.0.0.1");
  for (let i = 0; i < 50; i++) await turn();
  bench.clock.advance(100);
  await turn();
  bench.clock.advance(1);
  assert.equal(bench.dials, 4);
  assert.deepEqual(
    texts(bench.servers[0].inbox),
    Array.from({ length: 64 }, (_, i) => `fresh ${i + 6}`),
  );
  assert.equal(relay.tally.dropped.unconnected, 7);
});

test("what has waited for five seconds is not sent any more", async () => {
  const bench = new Bench();
  bench.dialling = "fails";
  using relay = await bench.open();
  const app = open();
  await say(relay, bench, app, "stale");
  for (const waitMs of [1000, 2000]) {
    bench.clock.advance(waitMs);
    await turn();
  }
  bench.dialling = "links";
  bench.clock.advance(3000);
  await say(relay, bench, app, "fresh");
  bench.clock.advance(1000);
  await turn();
  bench.clock.advance(1);
  assert.deepEqual(texts(bench.servers[0].inbox), ["fresh"]);
  assert.equal(relay.tally.dropped.unconnected, 1);
});

test("a connection that breaks is made again at once, if it was good and its app is awake", async () => {
  const bench = new Bench();
  using relay = await bench.open();
  const app = open();
  await say(relay, bench, app, "one");
  bench.servers[0].link.send(Buffer.from("back"));
  bench.clock.advance(1);
  bench.servers[0].link.close();
  bench.clock.advance(0);
  await turn();
  assert.deepEqual(bench.kinds, ["connected", "closed", "connected"]);
  // This one never brought anything back: wait before the next.
  bench.servers[1].link.close();
  bench.clock.advance(0);
  await turn();
  assert.deepEqual(bench.kinds.slice(3), ["closed", "retrying"]);
  bench.clock.advance(1000);
  await turn();
  assert.equal(bench.dials, 3);
  // And for an app that sleeps, not before it speaks.
  bench.clock.advance(40_000);
  bench.servers[2].link.close();
  bench.clock.advance(120_000);
  await turn();
  assert.equal(bench.dials, 3);
  await say(relay, bench, app, "two");
  assert.equal(bench.dials, 4);
});

test("a server that owes an answer for 20 s is given up", async () => {
  const bench = new Bench();
  using relay = await bench.open();
  const app = open();
  await say(relay, bench, app, "one");
  bench.servers[0].link.send(Buffer.from("back"));
  for (let second = 0; second < 21; second++) {
    bench.clock.advance(1000);
    await say(relay, bench, app, "still here");
    if (second < 19) assert.deepEqual(bench.kinds, ["connected"]);
  }
  bench.clock.advance(2000);
  await turn();
  assert.deepEqual(bench.kinds, ["connected", "closed", "connected"]);
  assert.deepEqual(bench.events[1].kind === "closed" && bench.events[1].reason, "unanswered");
});

test("an idle app, which sends keepalives, is owed no answer", async () => {
  const bench = new Bench();
  using relay = await bench.open();
  const app = open();
  await say(relay, bench, app, "one");
  bench.servers[0].link.send(Buffer.from("back"));
  const keepalive = "\u0004".padEnd(32, "k");
  for (let second = 0; second < 120; second++) {
    bench.clock.advance(1000);
    if (second % 25 === 0) await say(relay, bench, app, keepalive);
  }
  assert.deepEqual(bench.kinds, ["connected"]);
});

test("there are so many streams, and an app that rests makes room", async () => {
  const bench = new Bench();
  using relay = await bench.open({ maximumFlows: 2 });
  const [first, second, third] = [open(), open(), open()];
  await say(relay, bench, first, "one");
  await say(relay, bench, second, "two");
  for (const { link } of bench.servers) link.send(Buffer.from("answer"));
  await say(relay, bench, third, "three");
  assert.equal(relay.flows, 2);
  assert.equal(relay.tally.dropped["flows-full"], 1);
  bench.clock.advance(20_000);
  bench.servers[1].link.send(Buffer.from("answer"));
  await say(relay, bench, second, "awake");
  bench.clock.advance(12_000);
  await say(relay, bench, third, "three");
  assert.equal(relay.flows, 2);
  bench.clock.advance(1);
  assert.deepEqual(
    bench.servers.map(({ inbox }) => inbox.reason),
    ["closed-there", undefined, undefined],
  );
});

test("an app that is silent for three minutes has its stream ended, and forgotten", async () => {
  const bench = new Bench();
  using relay = await bench.open();
  await say(relay, bench, open(), "one");
  bench.clock.advance(179_000);
  assert.equal(relay.flows, 1);
  bench.clock.advance(3000);
  assert.equal(relay.flows, 0);
  assert.equal(bench.servers[0].inbox.reason, "closed-there");
});

test("disposing ends everything, connections being made included", async () => {
  const bench = new Bench();
  const relay = await bench.open();
  await say(relay, bench, open(), "one");
  bench.dialling = "waits";
  await say(relay, bench, open(), "two");
  relay[Symbol.dispose]();
  bench.clock.advance(1);
  assert.equal(bench.servers[0].inbox.reason, "closed-there");
  assert.equal(relay.flows, 0);
});
