/** What stands in for the cipher in the bench's null-cipher run: a copy, and a tag of whatever lies there. */
import type { AeadResources, PacketAead } from "../../src/dataplane/packet-aead.ts";

/** In the place of the one in `src/dataplane/aead-selection.ts`. */
export function selectAead({ kernels }: AeadResources): PacketAead {
  return {
    name: "block",
    seal() {},
    open(_key, _low, _high, sealed, text, length) {
      kernels.copy(text, sealed, length);
      return true;
    },
    [Symbol.dispose]() {},
  };
}
