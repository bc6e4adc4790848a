/**
 * `WARREN_AEAD`: one provider of the cipher instead of the fastest that works. `block` is OpenSSL's inner functions,
 * `evp` its public interface, `node` the one of node:crypto, which allocates and is several times slower.
 */
import { VpnError } from "../base/errors.ts";
import { type AeadName, aeadNames } from "../dataplane/packet-aead.ts";

/** Undefined where the variable is unset or empty. Throws `invalid-argument` for what is no provider. */
export function chosenAead(value: string | undefined = process.env.WARREN_AEAD): AeadName | undefined {
  if (value === undefined || value === "") return undefined;
  const chosen = aeadNames.find((name) => name === value);
  if (chosen !== undefined) return chosen;
  throw new VpnError(
    "invalid-argument",
    `WARREN_AEAD is ${JSON.stringify(value)}, which is no provider of the cipher`,
    {
      remedy: `choose ${aeadNames.slice(0, -1).join(", ")} or ${aeadNames.at(-1)}, or unset it for the fastest that works`,
    },
  );
}
