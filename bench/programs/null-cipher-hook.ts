/** Loaded before warren, in each of its threads: puts `null-cipher.ts` in the place of the choice of a cipher. */
import { registerHooks } from "node:module";

const replacement = new URL("./null-cipher.ts", import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    /\/aead-selection\.[jt]s$/.test(specifier)
      ? { url: replacement, format: "module-typescript", shortCircuit: true }
      : next(specifier, context),
});
