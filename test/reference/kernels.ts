/** The compiled kernels in a small memory of the test's own. */
import { readFileSync } from "node:fs";
import { instantiateKernels, type Kernels, kernelsUrl } from "../../src/packet/kernels.ts";

/** What memory holds where nobody wrote. */
export const guard = 0xa5;

/** Kernels bound to a new memory of `pages` times 64 KiB, filled with `guard`. */
export function makeKernels(pages: number): Kernels {
  let module: Uint8Array<ArrayBuffer>;
  try {
    module = new Uint8Array(readFileSync(kernelsUrl));
  } catch (cause) {
    throw new Error("the packet kernels are not compiled: run `npm run prepare`", { cause });
  }
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const kernels = instantiateKernels(new WebAssembly.Module(module), memory);
  kernels.bytes.fill(guard);
  return kernels;
}
