/** Stories of a tunnel with UDP and two streams to choose from: a virtual clock, ways that fail, and what is done about it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PathChoice } from "../../src/tunnel/path-choice.ts";
import { PathStanding } from "../../src/tunnel/path-standing.ts";
import { SeededRandom } from "./seeded-random.ts";

const tickMs = 50;
const start = 1_000_000;
const keepaliveMs = 10_000;

type Way = {
  /** Whether datagrams pass. */
  alive: boolean;
  /** A stream's connection; UDP needs none. */
  connected: boolean;
  roundTripMs: number;
  /** Of the peer's messages. */
  loss: number;
  messagesPerSecond: number;
};

type Traffic = "none" | "both ways" | "one way";

/** The peer and the ways, as crudely as they can be: an answer comes a round trip later, by a way that is alive. */
class World {
  readonly ways: Way[] = ["udp", "tcp", "tls"].map((name) => ({
    alive: true,
    connected: name === "udp",
    roundTripMs: name === "udp" ? 20 : 30,
    loss: 0,
    messagesPerSecond: 1000,
  }));
  readonly choice = new PathChoice(["udp", "tcp", "tls"].map((name) => new PathStanding(name)));
  now = start;
  traffic: Traffic = "none";
  hasSession = true;
  readonly told: string[] = [];
  readonly probes: { readonly at: number; readonly path: number }[] = [];
  readonly #random = new SeededRandom(5);
  #isShakingHands = false;
  #receivedAt = start;
  #unansweredSince = 0;
  #bytes = 0;
  #due: { readonly at: number; readonly act: () => void }[] = [];

  run(seconds: number): string[] {
    const from = this.told.length;
    for (const end = this.now + 1000 * seconds; this.now < end; this.now += tickMs) this.#tick();
    return this.told.slice(from);
  }

  /** Runs until something is told, and returns after how many milliseconds that was. */
  until(pattern: RegExp, seconds: number): number {
    const begun = this.now;
    const from = this.told.length;
    while (!this.told.slice(from).some((text) => pattern.test(text))) {
      assert.ok(
        this.now - begun < 1000 * seconds,
        `nothing like ${pattern} in ${seconds} s, but ${this.told.slice(from)}`,
      );
      this.now += tickMs;
      this.#tick();
    }
    return this.now - begun;
  }

  get active(): string {
    return this.choice.standings[this.choice.active].name;
  }

  #tick(): void {
    const due = this.#due.filter(({ at }) => at <= this.now);
    this.#due = this.#due.filter(({ at }) => at > this.now);
    for (const { act } of due) act();
    const way = this.ways[this.choice.active];
    if (!this.hasSession && this.traffic !== "none") this.#shakeHands();
    const messages = this.hasSession ? this.#send(way) : 0;
    const missing = messages === 0 ? 0 : Math.round(messages * way.loss * 2 * this.#random.fraction());
    this.#bytes += 1000 * (messages - missing);
    this.choice.observe(this.now, {
      hasSession: this.hasSession,
      isShakingHands: this.#isShakingHands,
      receivedAt: this.#receivedAt,
      unansweredSince: this.#unansweredSince,
      sentBytes: 0,
      receivedBytes: this.#bytes,
      arrived: messages - missing,
      missing,
      ready: this.ways.map(({ connected }) => connected),
    });
    this.#act();
  }

  /** What the peer sends back within a tick. */
  #send(way: Way): number {
    if (this.traffic === "none") return 0;
    if (this.#unansweredSince === 0) this.#unansweredSince = this.now;
    const owedMs = this.traffic === "both ways" ? way.roundTripMs : keepaliveMs;
    if (!way.alive || !way.connected || this.now - this.#unansweredSince < owedMs) return 0;
    this.#receivedAt = this.now;
    this.#unansweredSince = 0;
    return (way.messagesPerSecond * tickMs) / 1000;
  }

  #shakeHands(): void {
    if (this.#isShakingHands) return;
    this.#isShakingHands = true;
    this.#initiate();
  }

  #initiate(): void {
    const path = this.choice.active;
    this.#answer(path, () => {
      this.#isShakingHands = false;
      this.hasSession = true;
      this.#receivedAt = this.now;
    });
  }

  #answer(path: number, act: () => void): void {
    const way = this.ways[path];
    if (way.alive && way.connected) this.#due.push({ at: this.now + way.roundTripMs, act });
  }

  #act(): void {
    for (const action of this.choice.drain()) {
      switch (action.kind) {
        case "tell":
          this.told.push(action.text);
          break;
        case "connect": {
          const way = this.ways[action.path];
          if (way.alive) this.#due.push({ at: this.now + 2 * way.roundTripMs, act: () => (way.connected = true) });
          break;
        }
        case "probe": {
          const { path } = action;
          const sentAt = this.now;
          this.probes.push({ at: sentAt, path });
          this.#answer(path, () => {
            this.choice.answered(this.now, path, this.now - sentAt);
            this.#act();
          });
          break;
        }
        case "move":
          if (this.#isShakingHands) this.#initiate();
      }
    }
  }
}

test("UDP that answers within its head start wins, and nothing else is even connected", () => {
  const world = new World();
  world.hasSession = false;
  world.ways[0].roundTripMs = 240;
  world.traffic = "both ways";
  world.run(30);
  assert.equal(world.active, "udp");
  assert.deepEqual([world.ways[1].connected, world.ways[2].connected], [false, false]);
  assert.deepEqual(world.told, []);
});

test("UDP that is blocked from the start loses the race to the next in the order", () => {
  const world = new World();
  world.hasSession = false;
  world.ways[0].alive = false;
  world.traffic = "both ways";
  const elapsedMs = world.until(/tcp answered first/, 3);
  assert.ok(elapsedMs < 1000, `${elapsedMs} ms`);
  assert.equal(world.active, "tcp");
});

test("where nothing answers each way has its turn, again and again, and the first that comes back is taken", () => {
  const world = new World();
  world.hasSession = false;
  for (const way of world.ways) way.alive = false;
  world.ways[1].connected = world.ways[2].connected = true; // connected, but nobody answers behind
  world.traffic = "both ways";
  const told = world.run(20);
  assert.ok(new Set(told.map((text) => text.split(" now by ")[1])).size === 3, told.join("\n"));
  world.ways[2].alive = true;
  world.until(/tls answered first/, 15);
});

test("UDP that dies in mid-flow is left within 1.5 s, and returned to within 15 s of its recovery", () => {
  const world = new World();
  world.traffic = "both ways";
  world.run(60);
  world.ways[0].alive = false;
  const leftMs = world.until(/udp has answered nothing for [0-9.]+ s, nor a probe: now by tcp/, 5);
  assert.ok(leftMs <= 1500, `${leftMs} ms`);
  assert.deepEqual(world.run(120), [], "it stays there while UDP is dead");
  world.ways[0].alive = true;
  const backMs = world.until(/udp answers again, in [0-9]+ ms: now by udp/, 30);
  assert.ok(backMs <= 15_000, `${backMs} ms`);
  assert.deepEqual(world.run(120), []);
});

test("a dead way is asked at most every three seconds, and ever more rarely", () => {
  const world = new World();
  world.traffic = "both ways";
  world.ways[0].alive = false;
  world.run(300);
  const asked = world.probes.filter(({ path }) => path === 0).map(({ at }) => at);
  const gaps = asked.slice(2).map((at, i) => at - asked[i + 1]);
  assert.ok(Math.min(...gaps) >= 3000, `${gaps}`);
  assert.ok(asked.length < 35, `${asked.length} probes in five minutes`);
});

test("a peer that owes nothing for ten seconds is not taken for dead", () => {
  const world = new World();
  world.traffic = "one way";
  assert.deepEqual(world.run(300), []);
  assert.equal(world.active, "udp");
  const early = world.probes.filter(({ at }) => at < start + 60_000).length;
  const late = world.probes.filter(({ at }) => at >= start + 240_000).length;
  assert.ok(late <= early && late <= 12, `${early} probes in the first minute, ${late} in the last`);
});

test("an idle tunnel is left alone, whatever becomes of the ways", () => {
  const world = new World();
  world.run(10);
  world.ways[0].alive = false;
  assert.deepEqual(world.run(300), []);
  assert.equal(world.probes.length, 0);
});

test("UDP that comes and goes is returned to ever more rarely", () => {
  const world = new World();
  world.traffic = "both ways";
  let moves = 0;
  for (let i = 0; i < 60; i++) {
    world.ways[0].alive = i % 2 === 1; // 20 s dead, 20 s alive, for forty minutes
    moves += world.run(20).filter((text) => text.includes("now by")).length;
  }
  assert.ok(moves >= 4 && moves <= 24, `${moves} moves in 20 minutes`);
});

test("a way that loses much is tried against another, and the one that delivers more is kept", () => {
  const world = new World();
  world.traffic = "both ways";
  world.run(10);
  Object.assign(world.ways[0], { loss: 0.15, messagesPerSecond: 200 });
  world.until(/udp loses 1[0-9] % of what comes: trying tcp: now by tcp/, 12);
  world.until(/staying with tcp: it delivers [0-9.]+ times as much/, 7);
  assert.deepEqual(world.run(20), []);
  Object.assign(world.ways[0], { loss: 0, messagesPerSecond: 1000 });
  world.until(/udp answers again/, 60);
});

test("a lossy way is kept where the others deliver no more, and they are not tried again soon", () => {
  const world = new World();
  world.traffic = "both ways";
  Object.assign(world.ways[0], { loss: 0.15, messagesPerSecond: 1000 });
  for (const way of world.ways.slice(1)) way.messagesPerSecond = 700;
  const told = world.run(120);
  assert.equal(world.active, "udp");
  assert.ok(
    told.some((text) => /tcp delivers 0\.[0-9] times as much: not worth it/.test(text)),
    told.join("\n"),
  );
  assert.ok(told.filter((text) => text.includes("trying tcp")).length <= 2, told.join("\n"));
});

test("UDP that answers much more slowly than the stream in use is not returned to", () => {
  const world = new World();
  world.traffic = "both ways";
  world.ways[0].alive = false;
  world.until(/now by tcp/, 5);
  Object.assign(world.ways[0], { alive: true, roundTripMs: 900 });
  world.until(/udp answers, but only after 9[0-9][0-9] ms: staying with tcp/, 30);
  assert.equal(world.active, "tcp");
  world.ways[0].roundTripMs = 20;
  world.until(/udp answers again/, 30);
});

test("a stream that dies is left for the next, and both for UDP when that is all there is", () => {
  const world = new World();
  world.traffic = "both ways";
  world.ways[0].alive = false;
  world.until(/now by tcp/, 5);
  world.ways[1].alive = world.ways[1].connected = false;
  world.until(/tcp has answered nothing .* now by tls/, 5);
  world.ways[2].alive = world.ways[2].connected = false;
  world.ways[0].alive = true;
  world.until(/now by udp/, 10);
});
