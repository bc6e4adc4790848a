import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { callTunnel, describeTunnel, listControlSockets, ownStatusOf } from "../../../src/api/control-client.ts";
import { ControlSocket } from "../../../src/api/control-socket.ts";
import { PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import { ConfigurableTunnel, peerKey } from "../tunnel/configurable-tunnel.ts";

function emptyFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "warren-client-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Another program's tunnel, which answers everything alike and then hangs up, or not. */
async function stranger(t: TestContext, folder: string, answer: string, hangsUp: boolean): Promise<void> {
  const server = createServer((client) => {
    client.on("error", () => {});
    if (hangsUp) client.end(answer);
    else client.write(answer);
  }).listen(join(folder, "other0.sock"));
  t.after(() => server.close());
  await once(server, "listening");
}

test("tunnels are found and describe themselves, without their secrets", async (t) => {
  const folder = emptyFolder(t);
  const tunnel = new ConfigurableTunnel();
  await using socket = await ControlSocket.open("wg7", {
    tunnel,
    folder,
    operations: { hello: () => "there", fail: () => Promise.reject(new Error("no")) },
  });
  assert.deepEqual(await describeTunnel("wg7", folder), {
    name: "wg7",
    publicKey: undefined,
    listenPort: 0,
    mark: 0,
    peers: [],
  });
  const client = (await import("node:net")).connect(socket.path);
  const secret = "48".repeat(32);
  client.write(
    `set=1\nprivate_key=${secret}\nlisten_port=7\nfwmark=8\npublic_key=${peerKey(1)}\npreshared_key=${secret}\nendpoint=192.0.2.1:9\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\nallowed_ip=::/0\npublic_key=${peerKey(2)}\n\n`,
  );
  await once(client, "data");
  client.destroy();
  tunnel.put(1, { lastHandshakeAt: 1_700_000_000_123, sentBytes: 5 });
  const description = await describeTunnel("wg7", folder);
  assert.doesNotMatch(JSON.stringify(description), new RegExp(secret));
  assert.deepEqual(description, {
    name: "wg7",
    publicKey: new PublicKey(native.publicKey(Buffer.from(secret, "hex"))).toString(),
    listenPort: 7,
    mark: 8,
    peers: [
      {
        publicKey: Buffer.from(peerKey(1), "hex").toString("base64"),
        hasPresharedKey: true,
        endpoint: "192.0.2.1:9",
        latestHandshakeAt: 1_700_000_000_123,
        receivedBytes: 0,
        sentBytes: 5,
        persistentKeepaliveSeconds: 25,
        allowedIps: ["10.0.0.0/8", "::/0"],
      },
      {
        publicKey: Buffer.from(peerKey(2), "hex").toString("base64"),
        hasPresharedKey: false,
        endpoint: undefined,
        latestHandshakeAt: undefined,
        receivedBytes: 0,
        sentBytes: 0,
        persistentKeepaliveSeconds: 0,
        allowedIps: [],
      },
    ],
  });
  assert.deepEqual((await ownStatusOf("wg7", folder))?.drops, { "message-replayed": 3 });
  assert.equal(await callTunnel("wg7", "hello", { folder }), "there");
  await assert.rejects(callTunnel("wg7", "fail", { folder }), { code: "not-available", message: "wg7: Error: no" });
  assert.deepEqual(listControlSockets(folder), ["wg7"]);
});

test("what nobody serves is named", async (t) => {
  const folder = emptyFolder(t);
  assert.deepEqual(listControlSockets(join(folder, "nowhere")), []);
  await assert.rejects(describeTunnel("wg7", folder), { message: "there is no tunnel wg7" });
  await assert.rejects(describeTunnel("../wg7", folder), { code: "invalid-argument" });
  const path = join(folder, "wg7.sock");
  const dead = createServer().listen(`${path}.moved`);
  await once(dead, "listening");
  renameSync(`${path}.moved`, path);
  await new Promise((closed) => dead.close(closed));
  await assert.rejects(describeTunnel("wg7", folder), /the process behind it died|connection refused/);
});

test("a tunnel of another program has no operations of ours, and may not answer well", async (t) => {
  const folder = emptyFolder(t);
  await stranger(t, folder, "", true);
  assert.equal(await ownStatusOf("other0", folder), undefined);
  await assert.rejects(describeTunnel("other0", folder), /other0 hung up in the middle of its answer/);
});

test("errors, nonsense and endless lines are answers, too", async (t) => {
  for (const [answer, complaint] of [
    ["errno=-1\n\n", /refused to describe itself \(errno -1\)/],
    ["listen_port=5\nnonsense\n\n", /a line has no =/],
    ["x".repeat(10_000), /longer than/],
  ] satisfies [string, RegExp][]) {
    const folder = emptyFolder(t);
    await stranger(t, folder, answer, false);
    await assert.rejects(describeTunnel("other0", folder), complaint);
  }
});
