import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clampMss } from "../../../src/packet/mss-clamp.ts";
import { tcpChecksum } from "../../reference/mss-clamp.ts";
import { makePacket } from "../../reference/packets.ts";

const [SYN, ACK] = [2, 16];
/** As Linux orders them in a SYN: MSS, SACK permitted, timestamps, a filler, window scale. */
const linuxOptions = Uint8Array.from([2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]);

function syn(family: 4 | 6, flags = SYN, options = linuxOptions): Uint8Array {
  return makePacket({ family, flags, options });
}

describe("clampMss", () => {
  for (const [family, tcp] of [
    [4, 20],
    [6, 40],
  ] as const) {
    for (const flags of [SYN, SYN | ACK]) {
      test(`lowers what ${flags === SYN ? "a SYN" : "a SYN-ACK"} over IPv${family} announces`, () => {
        const packet = syn(family, flags);
        assert.equal(clampMss(packet, 0, packet.length, 1280), true);
        assert.equal(packet[tcp + 22] * 256 + packet[tcp + 23], 1280 - tcp - 20);
        assert.equal(packet[tcp + 16] * 256 + packet[tcp + 17], tcpChecksum(packet, tcp));
      });
    }
  }

  const refused: readonly (readonly [string, () => Uint8Array])[] = [
    ["a SYN that announces less", () => syn(4, SYN, Uint8Array.of(2, 4, 4, 0))],
    ["a segment that is no SYN", () => syn(4, ACK)],
    ["a SYN without options", () => syn(6, SYN, new Uint8Array())],
    ["an option that claims no length", () => syn(4, SYN, Uint8Array.of(5, 0, 2, 4, 9, 9, 0, 0))],
    ["an MSS option that is cut short by the header's end", () => syn(4, SYN, Uint8Array.of(1, 1, 2, 4))],
    ["an MSS option of another length", () => syn(4, SYN, Uint8Array.of(2, 6, 9, 9, 9, 9, 0, 0))],
    ["what stands behind the end of the options", () => syn(4, SYN, Uint8Array.of(0, 0, 0, 0, 2, 4, 9, 9))],
    ["UDP", () => makePacket({ protocol: "udp", payload: new Uint8Array(30).fill(2) })],
  ];
  for (const [what, make] of refused) {
    test(`leaves alone ${what}`, () => {
      const packet = make();
      const before = packet.slice();
      assert.equal(clampMss(packet, 0, packet.length, 1280), false);
      assert.deepEqual(packet, before);
    });
  }

  test("leaves alone a fragment that is not the first", () => {
    const packet = syn(4);
    packet[7] = 1;
    assert.equal(clampMss(packet, 0, packet.length, 1280), false);
  });

  test("leaves alone a packet whose header is longer than it", () => {
    const packet = syn(4);
    for (let length = 20; length < 44; length++) {
      assert.equal(clampMss(packet, 0, length, 1280), false, `${length} bytes`);
    }
  });
});
