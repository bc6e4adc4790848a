import assert from "node:assert/strict";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { ControlSocket, type ControlSocketOptions, socketPath } from "../../../src/api/control-socket.ts";
import { VpnError } from "../../../src/base/errors.ts";
import { ConfigurableTunnel, peerKey } from "../tunnel/configurable-tunnel.ts";

function emptyFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "warren-control-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "wireguard");
}

async function open(t: TestContext, folder: string, more: Partial<ControlSocketOptions> = {}): Promise<ControlSocket> {
  const socket = await ControlSocket.open("wg7", { tunnel: new ConfigurableTunnel(), folder, ...more });
  t.after(() => socket[Symbol.asyncDispose]());
  return socket;
}

/** The whole of the answer to all that is asked. */
async function ask(path: string, question: string): Promise<string> {
  const client = connect({ path, allowHalfOpen: true });
  client.end(question);
  return await text(client);
}

/** A client that has been let in, and waits. */
async function waiting(t: TestContext, path: string): Promise<Socket> {
  const client = connect(path);
  t.after(() => client.destroy());
  await once(client, "connect");
  client.write("get=1\n\n");
  await once(client, "data");
  return client;
}

test("it answers, to its owner alone, and is gone at the end", async (t) => {
  const folder = emptyFolder(t);
  const before = process.umask();
  const socket = await ControlSocket.open("wg7", { tunnel: new ConfigurableTunnel(), folder });
  assert.equal(process.umask(), before);
  assert.equal(socket.path, join(folder, "wg7.sock"));
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(lstatSync(socket.path).mode & 0o777, 0o600);
  assert.equal(await ask(socket.path, "set=1\nfwmark=7\n\nget=1\n\n"), "errno=0\n\nfwmark=7\nerrno=0\n\n");
  const client = await waiting(t, socket.path);
  const ended = once(client, "close");
  await socket[Symbol.asyncDispose]();
  await ended;
  assert.equal(existsSync(socket.path), false);
});

test("a socket left behind is taken over, one in use is not", async (t) => {
  const folder = emptyFolder(t);
  const first = await open(t, folder);
  await assert.rejects(open(t, folder), (error) => {
    assert.ok(error instanceof VpnError && error.code === "name-taken");
    assert.match(error.line, /another process listens on .*wg7\.sock: end it/);
    return true;
  });
  assert.equal(await ask(first.path, "get=1\n\n"), "errno=0\n\n", "and is not disturbed");
  await first[Symbol.asyncDispose]();

  const dead = createServer().listen(first.path);
  await once(dead, "listening");
  const stale = `${first.path}.kept`;
  renameSync(first.path, stale); // so that its end does not remove it
  dead.close();
  renameSync(stale, first.path);
  const second = await open(t, folder);
  assert.equal(await ask(second.path, "get=1\n\n"), "errno=0\n\n");
});

test("what is no socket is left alone", async (t) => {
  const folder = emptyFolder(t);
  const { path } = await open(t, folder).then(async (socket) => {
    await socket[Symbol.asyncDispose]();
    return socket;
  });
  writeFileSync(path, "precious");
  await assert.rejects(open(t, folder), /is no socket/);
  assert.equal(existsSync(path), true);
});

test("a folder that cannot be made is an error for the operator", async (t) => {
  const folder = emptyFolder(t);
  writeFileSync(folder, "a file");
  await assert.rejects(open(t, join(folder, "wireguard")), (error) => {
    assert.ok(error instanceof VpnError);
    assert.match(error.line, /^cannot make .*wireguard: not a directory/);
    return true;
  });
});

test("names do not lead out of the folder", () => {
  assert.equal(socketPath("wg0"), "/var/run/wireguard/wg0.sock");
  for (const name of ["", ".", "..", "../x", "a/b", "x".repeat(16), "a\0b"]) {
    assert.throws(() => socketPath(name), { code: "invalid-argument" }, name);
  }
});

test("clients that only sit there make room for the next", async (t) => {
  const { path } = await open(t, emptyFolder(t));
  const clients: Socket[] = [];
  for (let i = 0; i < 64; i++) clients.push(await waiting(t, path));
  clients[0].write("get=1\n\n"); // heard of again
  await once(clients[0], "data");
  const gone = once(clients[1], "close");
  assert.equal(await ask(path, "get=1\n\n"), "errno=0\n\n");
  await gone;
  assert.equal(clients[0].closed, false);
  assert.equal(clients[2].closed, false);
});

test("so they do when many come at once", async (t) => {
  const { path } = await open(t, emptyFolder(t));
  const clients = Array.from({ length: 110 }, () => connect(path));
  t.after(() => clients.map((client) => client.destroy()));
  let closed = 0;
  const enough = Promise.withResolvers<void>();
  for (const client of clients) {
    client.on("error", () => {}).resume();
    client.once("close", () => {
      if (++closed === 110 - 63) enough.resolve(); // 63 and the one below
    });
  }
  assert.equal(await ask(path, "get=1\n\n"), "errno=0\n\n");
  await enough.promise;
  assert.equal(closed, 110 - 63);
});

test("an answer that is not read waits, without filling memory", async (t) => {
  const tunnel = new ConfigurableTunnel();
  const { path } = await open(t, emptyFolder(t), { tunnel });
  const peers = Array.from({ length: 10_000 }, (_, i) => `public_key=${peerKey(i)}\nallowed_ip=10.0.0.0/8\n`);
  assert.equal(await ask(path, `set=1\n${peers.join("")}\n`), "errno=0\n\n");
  let described = 0;
  const peersOf = tunnel.peers.bind(tunnel);
  tunnel.peers = function* () {
    for (const peer of peersOf()) {
      described++;
      yield peer;
    }
  };
  const client = connect(path).pause();
  t.after(() => client.destroy());
  client.write("get=1\n\n");
  assert.equal(await ask(path, "set=1\nfwmark=9\n\n"), "errno=0\n\n", "others are served meanwhile");
  assert.ok(described < 5000, `${described} peers were described for a client that reads none`);
  let answer = "";
  client.setEncoding("latin1").on("data", (part: string) => {
    answer += part;
  });
  client.resume();
  while (!answer.endsWith("errno=0\n\n")) await once(client, "data");
  assert.equal(answer.match(/^public_key=/gm)?.length, 10_000);
});

test("a client that leaves in the middle does no harm", async (t) => {
  const { path } = await open(t, emptyFolder(t));
  for (const part of ["", "get=1", "get=1\n\n", "set=1\nfwmark=3\npublic_key=", "x".repeat(100_000)]) {
    const client = connect(path);
    await once(client, "connect");
    client.write(part);
    client.destroy();
  }
  assert.match(await ask(path, "get=1\n\n"), /errno=0\n\n$/);
});

test("its removal by another hand is noticed, and another's socket is left alone", async (t) => {
  const folder = emptyFolder(t);
  const socket = await open(t, folder);
  const watcher = watch(socket.path);
  t.after(() => watcher.close());
  const touched = once(watcher, "change").then(() => "touched");
  chmodSync(socket.path, 0o600);
  assert.equal(await Promise.race([socket.removed, touched]), "touched");
  rmSync(socket.path);
  await socket.removed;
  const next = await open(t, folder);
  await socket[Symbol.asyncDispose]();
  assert.equal(await ask(next.path, "get=1\n\n"), "errno=0\n\n");
});

test("an operation is answered though it is the end, and nothing else is", { timeout: 10_000 }, async (t) => {
  const folder = emptyFolder(t);
  const { promise: ended, resolve: end } = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  const down = () => {
    begun.resolve();
    return ended;
  };
  const socket = await ControlSocket.open("wg7", { tunnel: new ConfigurableTunnel(), folder, operations: { down } });
  const idle = await waiting(t, socket.path);
  const asker = connect(socket.path);
  asker.write("warren=down\n\n");
  await begun.promise;
  const gone = once(idle, "close");
  await socket[Symbol.asyncDispose]();
  await gone;
  assert.equal(existsSync(socket.path), false);
  end("all of it");
  assert.equal(await text(asker), 'result="all of it"\nerrno=0\n\n');
});
