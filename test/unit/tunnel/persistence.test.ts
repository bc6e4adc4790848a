import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { PublicKey } from "../../../src/base/keys.ts";
import { type PersistableTunnel, persist } from "../../../src/tunnel/persistence.ts";
import { workMs } from "../../work-time.ts";

const count = 20_000;
/** Asking for all ways at once takes 0.6 s, and far longer where there are more routes than in a sandbox. */
const limitMs = 300;

test("twenty thousand peers are looked after in portions, wherever they are", { timeout: 20_000 }, async () => {
  const peers = Array.from({ length: count }, (_, i) => {
    const key = new Uint8Array(32).fill(9);
    new DataView(key.buffer).setUint32(8, i);
    return { publicKey: new PublicKey(key), endpoint: Endpoint.parse(`127.0.${i >> 8}.${i & 255}:${1 + i}`) };
  });
  const endpoints = new Map(peers.map(({ publicKey, endpoint }) => [publicKey, endpoint]));
  let asked = 0;
  const { promise: everyone, resolve } = Promise.withResolvers<void>();
  const tunnel: PersistableTunnel = {
    mark: 0,
    liveness: (key) => {
      if (key === peers[count - 1].publicKey && ++asked === 4) resolve();
      return { endpoint: endpoints.get(key), receivedAt: 0, unansweredSince: 0, isShakingHands: false };
    },
    updatePeer: () => assert.fail("nobody has moved"),
    shakeHands: () => assert.fail("nothing has changed"),
  };
  let worstMs = 0;
  let before = workMs();
  const note = () => {
    const now = workMs();
    worstMs = Math.max(worstMs, now - before);
    before = now;
  };
  using _persistence = persist(tunnel, { peers, resolvers: () => [] });
  note();
  const timer = setInterval(note, 1);
  await everyone.finally(() => clearInterval(timer));
  assert.ok(worstMs < limitMs, `${Math.round(worstMs)} ms without a turn for others`);
});
