import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { DatagramLink } from "../../../src/transport/datagram-link.ts";
import { Handovers } from "../../../src/transport/handovers.ts";
import { MemoryLink } from "../../../src/transport/memory-link.ts";
import { StreamPath } from "../../../src/transport/stream-path.ts";
import { Inbox } from "./link-ends.ts";
import { VirtualClock } from "./virtual-clock.ts";

async function boundSocket(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

/** A path from a tunnel's socket, to a peer that is a link in memory. */
async function prepare(undo: DisposableStack) {
  const clock = new VirtualClock();
  const handovers = new Handovers();
  const [tunnel, stranger] = [await boundSocket(), await boundSocket()];
  undo.defer(() => tunnel.close());
  undo.defer(() => stranger.close());
  const peers: Inbox[] = [];
  const links: DatagramLink[] = [];
  const path = undo.use(
    await StreamPath.open({
      name: "tls://vpn.example:443",
      tunnelPort: () => tunnel.address().port,
      handovers,
      dial: () => {
        const [near, far] = MemoryLink.pair({ clock, random: () => 0.5 });
        links.push(far);
        peers.push(new Inbox(far));
        Object.defineProperty(near, "remote", { value: "192.0.2.7:443" });
        return Promise.resolve(near);
      },
      onEvent: () => undefined,
      clock,
      random: () => 0,
    }),
  );
  const settle = async () => {
    for (let i = 0; i < 50; i++) await turn();
    clock.advance(1);
  };
  return { path, handovers, tunnel, stranger, peers, links, settle };
}

test("only the tunnel is heard at the place, and only the tunnel hears what comes", async () => {
  using undo = new DisposableStack();
  const { path, tunnel, stranger, peers, links, settle } = await prepare(undo);
  const { port } = path.place;
  stranger.send("let me in", port, "127.0.0.1");
  await settle();
  assert.equal(peers.length, 0, "a stranger makes no connection");
  assert.equal(path.dropped, 1);
  tunnel.send("hello", port, "127.0.0.1");
  await settle();
  stranger.send("let me in", port, "127.0.0.1");
  await settle();
  assert.deepEqual(
    peers[0].datagrams.map((bytes) => Buffer.from(bytes).toString()),
    ["hello"],
  );
  const arrival = once(tunnel, "message");
  links[0].send(Buffer.from("back"));
  await settle();
  const [bytes, from] = await arrival;
  assert.deepEqual([String(bytes), from.port], ["back", port]);
});

test("the place is called by what is asked for, and by the address that answered once one has", async () => {
  using undo = new DisposableStack();
  const { path, handovers, settle } = await prepare(undo);
  assert.equal(String(path.place), "tls://vpn.example:443");
  assert.equal(path.place.remote, undefined);
  path.connect();
  await settle();
  assert.equal(path.state, "open");
  assert.equal(String(path.place), "tls://192.0.2.7:443");
  assert.equal(String(path.place.remote), "192.0.2.7:443");
  const { place } = path;
  path.rest();
  assert.equal(path.state, "resting");
  path[Symbol.dispose]();
  const bare = place.carriedBy(undefined);
  assert.equal(handovers.resolve(bare), bare, "its place is nobody's any more");
});

test("a connection that was made in advance and never used is not made again when it ends", async () => {
  using undo = new DisposableStack();
  const { path, links, settle } = await prepare(undo);
  path.connect();
  await settle();
  links[0].close();
  await settle();
  assert.equal(path.state, "resting");
  assert.equal(links.length, 1);
});
