/** Each provider of ChaCha20-Poly1305 that this Node has: sealing and opening a packet of 64, 512 and 1,420 bytes. */
import { bench, group } from "mitata";
import { selectAead } from "../../src/dataplane/aead-selection.ts";
import { aeadNames, aeadScratch } from "../../src/dataplane/packet-aead.ts";
import { makeArena } from "./arena.ts";

const key = 64;
const scratch = 256;
const place = scratch + aeadScratch + 128;
const opened = place + 2048;

export function measureAead(): void {
  const { arena, kernels } = makeArena(65_536);
  const bytes = new Uint8Array(arena.buffer);
  for (const length of [64, 512, 1420]) {
    group(`AEAD, ${length} bytes`, () => {
      for (const name of aeadNames) {
        const { aead } = selectAead({ arena, kernels, scratch, keys: { bytes, base: arena.base } }, name);
        if (aead === undefined) continue;
        bench(`seal, ${name}`, () => aead.seal(key, 1, 0, place, length));
        bench(`seal and open, ${name}`, () => {
          aead.seal(key, 1, 0, place, length);
          if (!aead.open(key, 1, 0, place, opened, length)) throw new Error("not authentic");
        });
      }
    });
  }
}
