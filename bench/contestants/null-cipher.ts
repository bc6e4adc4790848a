/**
 * warren with a copy in place of its cipher, to see what is left to the kernel and to the rest of the packet path. No
 * setting of warren's can do this: a hook of the module loader (`programs/null-cipher-hook.ts`), of which only the bench
 * knows, puts another module in the place of the one that chooses a provider.
 */
import { fileURLToPath } from "node:url";
import type { Contestant } from "../contestant.ts";
import { openWith } from "../controlled-interface.ts";
import { checkoutVersion, ownCheckout, warrenProgram } from "./warren.ts";

const hook = fileURLToPath(new URL("../programs/null-cipher-hook.ts", import.meta.url));

export function nullCipher(): Contestant {
  const wireguard = warrenProgram(ownCheckout, { NODE_OPTIONS: `--import=${hook}` });
  return { name: "null-cipher", version: checkoutVersion(ownCheckout), open: openWith(wireguard) };
}
