import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { ping, pingEach } from "./ping.ts";
import { families, inside, TunnelPair, type TunnelPairOptions } from "./tunnel-pair.ts";
import { fragmentsMade } from "./underlay.ts";
import { requireWireguardGo, wireguardGoPrograms } from "./wireguard-go.ts";

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Pings with packets of every one of these lengths, both families inside, from both sides. */
async function passesBothWays(pair: TunnelPair, lengths: readonly number[]): Promise<void> {
  for (const family of families) {
    await Promise.all([
      pingEach(pair.left, inside.right[family], lengths),
      pingEach(pair.right, inside.left[family], lengths),
    ]);
  }
}

/** What warren dropped; but for the kernel's multicast of its own accord (RFC 3810), which no peer is to have. */
async function dropsAtTheEnd(pair: TunnelPair): Promise<object | undefined> {
  const { status } = await pair.warren.stop();
  const { "packet-no-peer": _, ...drops } = status?.drops ?? assert.fail("warren said nothing at its end");
  return drops;
}

async function firstPing(pair: TunnelPair, initiator: TunnelPairOptions["initiator"]): Promise<void> {
  const first = initiator === "warren" ? ping(pair.left, inside.right[4]) : ping(pair.right, inside.left[4]);
  assert.equal((await first).received, 1, "the packet that asks for the handshake is held, not lost");
}

describe("packets of every size near the MTU", { concurrency: 2, timeout: 240_000 }, () => {
  for (const program of wireguardGoPrograms) {
    for (const initiator of ["warren", "wireguard-go"] as const) {
      for (const outside of families) {
        const presharedKey = (initiator === "warren") === (outside === 4);
        const title = `${initiator} initiates over IPv${outside} with ${program}${presharedKey ? ", preshared key" : ""}`;
        test(title, async (t) => {
          if (!requireNamespaces(t) || !requireWireguardGo(t, program)) return;
          if (!requireProgram(t, "ping", "iputils-ping")) return;
          using pair = await TunnelPair.open({ program, initiator, outside, presharedKey });
          await firstPing(pair, initiator);
          await passesBothWays(pair, range(1405, 1420));
          assert.equal(fragmentsMade(pair.left), 0, "a full packet fits an underlay of 1,500 bytes");
          assert.equal(fragmentsMade(pair.right), 0);
          assert.deepEqual(await dropsAtTheEnd(pair), {});
        });
      }
    }

    for (const [warrenMtu, peerMtu] of [
      [1393, 1420],
      [1420, 1393],
      [1393, 1393],
    ]) {
      test(`warren with an MTU of ${warrenMtu}, ${program} with ${peerMtu}`, async (t) => {
        if (!requireNamespaces(t) || !requireWireguardGo(t, program)) return;
        if (!requireProgram(t, "ping", "iputils-ping")) return;
        using pair = await TunnelPair.open({ program, warrenMtu, peerMtu, outside: 6 });
        await firstPing(pair, "warren");
        await passesBothWays(pair, range(1377, 1393));
        assert.equal(fragmentsMade(pair.left), 0);
        assert.deepEqual(await dropsAtTheEnd(pair), {});
      });
    }
  }
});
