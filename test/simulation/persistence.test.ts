/** Stories of a tunnel that lasts: seconds of a virtual clock, a peer as it is seen from here, and what is done about it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint, IpAddress } from "../../src/base/address.ts";
import { type PeerObservation, PersistenceState, type Way } from "../../src/tunnel/persistence-state.ts";

const start = 1_000_000;
const home = "192.0.2.1";
const host = { name: "vpn.example.org", port: 51_820 };

/** One peer and one name server. Every second the peer is looked at, and what is asked for is done at once. */
class World {
  readonly state: PersistenceState<string>;
  now = start;
  monotonic = 0;
  /** What was done, by the second, counted from the beginning. */
  readonly done: string[] = [];
  /** What the name server says; undefined while it is silent, and look-ups go on. */
  zone: readonly string[] | undefined = [home];
  endpoint: Endpoint = new Endpoint(IpAddress.parse(home), host.port);
  /** Addresses at which somebody answers. */
  alive = new Set([home]);
  mayShakeHands = true;
  wayAfterMove: Way = "eth0";
  isSending = false;
  #receivedAt = start;
  #unansweredSince = 0;
  #isShakingHands = false;

  constructor(named = true) {
    this.state = new PersistenceState([{ key: "peer", host: named ? host : undefined }]);
    this.state.noteWay("peer", "eth0");
    this.look();
  }

  /** Lets seconds pass. */
  run(seconds: number): string[] {
    const from = this.done.length;
    for (let i = 0; i < seconds; i++) {
      this.now += 1000;
      this.monotonic += 1000;
      this.#traffic();
      this.look();
    }
    return this.done.slice(from);
  }

  suspend(ms: number): void {
    this.now += ms;
  }

  way(way: Way): void {
    this.state.noteWay("peer", way);
    this.look();
  }

  observation(): PeerObservation {
    return {
      endpoint: this.endpoint,
      receivedAt: this.#receivedAt,
      unansweredSince: this.#unansweredSince,
      isShakingHands: this.#isShakingHands,
    };
  }

  look(): void {
    this.state.compareClocks(this.now, this.monotonic);
    this.state.observe(this.now, "peer", this.observation());
    this.#act();
  }

  /** As the protocol does it: data gets answers, and 15 s without one bring a handshake. */
  #traffic(): void {
    const answers = this.alive.has(String(this.endpoint.address));
    if (answers && (this.isSending || this.#isShakingHands)) {
      this.#receivedAt = this.now;
      this.#unansweredSince = 0;
      this.#isShakingHands = false;
    } else if (this.isSending && this.#unansweredSince === 0) this.#unansweredSince = this.now;
    if (this.#unansweredSince > 0 && this.now - this.#unansweredSince >= 15_000) this.#isShakingHands = true;
  }

  #act(): void {
    for (const action of this.state.drain()) {
      const second = Math.round((this.now - start) / 1000);
      if (action.kind === "look-up") {
        this.done.push(`${second} look up ${action.host}`);
        if (this.zone === undefined) continue;
        this.state.found("peer", this.zone.map(IpAddress.parse), this.endpoint);
        this.#act();
      } else if (action.kind === "move") {
        this.done.push(`${second} move to ${action.endpoint}`);
        this.endpoint = action.endpoint;
        this.#isShakingHands = true;
        this.state.noteWay("peer", this.wayAfterMove);
      } else if (this.mayShakeHands) {
        this.done.push(`${second} shake hands`);
        this.#isShakingHands = true;
      } else this.state.postponed("peer");
    }
  }
}

test("a peer that answers is left alone", () => {
  const world = new World();
  world.isSending = true;
  assert.deepEqual(world.run(600), []);
});

test("a peer with whom nothing is exchanged is left alone", () => {
  assert.deepEqual(new World().run(600), []);
});

test("a server that moves is found within twelve seconds of its silence", () => {
  const world = new World();
  world.isSending = true;
  world.run(5);
  world.alive = new Set(["192.0.2.9"]);
  world.zone = ["192.0.2.9"];
  assert.deepEqual(world.run(60), ["17 look up vpn.example.org", "17 move to 192.0.2.9:51820"]);
});

test("that another way leads to where it has moved is no reason for a second handshake", () => {
  const world = new World();
  world.isSending = true;
  world.alive = new Set(["192.0.2.9"]);
  world.zone = ["192.0.2.9"];
  world.wayAfterMove = "wlan0";
  assert.deepEqual(world.run(60), ["12 look up vpn.example.org", "12 move to 192.0.2.9:51820"]);
});

test("an answer between two looks ends a silence, although data waits again by the next", () => {
  const state = new PersistenceState([{ key: "peer", host }]);
  const seen = { endpoint: undefined, receivedAt: start, unansweredSince: start + 1, isShakingHands: false };
  state.observe(start + 10_000, "peer", seen);
  state.observe(start + 11_500, "peer", { ...seen, receivedAt: start + 10_500, unansweredSince: start + 11_000 });
  assert.deepEqual(state.drain(), []);
  state.observe(start + 21_900, "peer", { ...seen, receivedAt: start + 10_500, unansweredSince: start + 11_000 });
  assert.deepEqual(state.drain(), []);
  state.observe(start + 22_000, "peer", { ...seen, receivedAt: start + 10_500, unansweredSince: start + 11_000 });
  assert.equal(state.drain().length, 1);
});

test("the silence of a server that does not move is asked about ever more rarely", () => {
  const world = new World();
  world.isSending = true;
  world.alive = new Set();
  const seconds = world.run(300).map((line) => Number.parseInt(line, 10));
  assert.deepEqual(seconds, [12, 22, 32, 42, 62, 92, 152, 212, 272]);
});

test("one whose name follows late is found at the next look-up, and its next silence is noticed as soon", () => {
  const world = new World();
  world.isSending = true;
  world.alive = new Set(["192.0.2.9"]);
  world.run(25);
  world.zone = ["192.0.2.9"];
  assert.deepEqual(world.run(60), ["32 look up vpn.example.org", "32 move to 192.0.2.9:51820"]);
  world.alive = new Set();
  assert.deepEqual(world.run(13), ["97 look up vpn.example.org"]);
});

test("the first handshake that is not answered within its time asks, too", () => {
  const world = new World();
  world.alive = new Set();
  world.way("wlan0");
  assert.deepEqual(world.run(6), ["6 look up vpn.example.org"]);
});

test("of several addresses each gets its turn", () => {
  const world = new World();
  world.isSending = true;
  world.zone = [home, "192.0.2.2", "192.0.2.3"];
  world.alive = new Set(["192.0.2.3"]);
  const moves = world.run(60).filter((line) => /move/.test(line));
  assert.deepEqual(moves, ["12 move to 192.0.2.2:51820", "22 move to 192.0.2.3:51820"]);
});

test("while a look-up goes on there is no second, and one that comes late is not heeded", () => {
  const world = new World();
  world.isSending = true;
  world.zone = undefined;
  world.alive = new Set();
  assert.deepEqual(world.run(100), ["12 look up vpn.example.org"]);
  world.alive = new Set([home]);
  world.run(2);
  world.state.found("peer", [IpAddress.parse("192.0.2.9")], world.endpoint);
  assert.deepEqual(world.run(60), []);
});

test("an endpoint that was given as an address is never looked up", () => {
  const world = new World(false);
  world.isSending = true;
  world.alive = new Set();
  assert.deepEqual(world.run(300), []);
});

test("waking from a suspend brings a handshake at the next look, and only one", () => {
  const world = new World();
  world.run(10);
  world.suspend(3_600_000);
  assert.deepEqual(world.run(30), ["3611 shake hands"]);
});

test("clocks that part by less than a scheduler's whim are no suspend", () => {
  const world = new World();
  for (let i = 0; i < 100; i++) {
    world.suspend(20);
    assert.deepEqual(world.run(1), []);
  }
});

test("after a suspend without a network, the handshake comes with the network", () => {
  const world = new World();
  world.way(undefined);
  world.suspend(60_000);
  assert.deepEqual(world.run(20), []);
  world.way("wlan0");
  assert.deepEqual(world.done, ["80 shake hands"]);
});

test("another way brings a handshake, the loss of one does not, nor does the same again", () => {
  const world = new World();
  world.way("eth0");
  assert.deepEqual(world.done, []);
  world.way("wlan0");
  assert.deepEqual(world.done, ["0 shake hands"]);
  world.run(5);
  world.way(undefined);
  assert.equal(world.done.length, 1);
  world.run(5);
  world.way("wlan0");
  assert.deepEqual(world.done, ["0 shake hands", "10 shake hands"]);
});

test("a handshake that was too early comes a second later", () => {
  const world = new World();
  world.run(1);
  world.mayShakeHands = false;
  world.way("wlan0");
  assert.deepEqual(world.done, []);
  world.mayShakeHands = true;
  assert.deepEqual(world.run(5), ["2 shake hands"]);
});

test("a peer that was never heard nor called is left alone, whatever happens here", () => {
  const state = new PersistenceState([{ key: "peer", host }]);
  const seen = { endpoint: undefined, receivedAt: 0, unansweredSince: 0, isShakingHands: false };
  state.noteWay("peer", "eth0");
  state.compareClocks(start, 0);
  state.observe(start, "peer", seen);
  state.noteWay("peer", "wlan0");
  state.compareClocks(start + 60_000, 1000);
  state.observe(start + 60_000, "peer", seen);
  assert.deepEqual(state.drain(), []);
});
