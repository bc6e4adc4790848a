/** What stands in for the cipher in the bench's null-cipher run: a copy where it opens, and a tag of whatever lies there. */
import type { selectAead as original } from "../../src/dataplane/aead-selection.ts";

/** In the place of the one in `src/dataplane/aead-selection.ts`. */
export const selectAead: typeof original = ({ kernels }) => ({
  aead: {
    name: "block",
    seal() {},
    open(_key, _low, _high, sealed, text, length) {
      kernels.copy(text, sealed, length);
      return true;
    },
    [Symbol.dispose]() {},
  },
  failed: [],
});
