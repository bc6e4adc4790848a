/** A file of its own: it takes 130 seconds in which it does next to nothing, beside all others. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { ping } from "./ping.ts";
import { families, inside, TunnelPair } from "./tunnel-pair.ts";
import { requireWireguardGo, wireguardGoPrograms } from "./wireguard-go.ts";

const seconds = 130;
const intervalSeconds = 0.2;
/** Whitepaper §6.1, Rekey-After-Time, less what passed before the first look. */
const leastAgeSeconds = 115;

describe("130 seconds of unbroken ping pass a rekey", { concurrency: true, timeout: 200_000 }, () => {
  for (const program of wireguardGoPrograms) {
    for (const initiator of ["warren", "wireguard-go"] as const) {
      for (const family of families) {
        test(`${initiator} initiates, IPv${family}, ${program}`, async (t) => {
          if (!requireNamespaces(t) || !requireWireguardGo(t, program)) return;
          if (requireProgram(t, "ping", "iputils-ping") === undefined) return;
          using pair = await TunnelPair.open({ program, initiator, outside: family });
          const [from, to] =
            initiator === "warren" ? [pair.left, inside.right[family]] : [pair.right, inside.left[family]];
          const handshakeAt = async () => Number(await pair.peer.get("last_handshake_time_sec"));
          assert.equal((await ping(from, to)).received, 1);
          const first = await handshakeAt();
          const { sent, received, output } = await ping(from, to, {
            count: seconds / intervalSeconds,
            intervalSeconds,
          });
          assert.equal(sent, seconds / intervalSeconds, output);
          assert.equal(received, sent, output);
          const second = await handshakeAt();
          assert.ok(second - first >= leastAgeSeconds, `a handshake at ${first}, the next at ${second}`);
        });
      }
    }
  }
});
