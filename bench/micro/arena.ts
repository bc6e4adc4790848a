/** An arena with the kernels bound to it, as a worker has. */
import { readFileSync } from "node:fs";
import { Arena } from "../../src/os/arena.ts";
import { instantiateKernels, type Kernels, kernelsUrl } from "../../src/packet/kernels.ts";

export function makeArena(size: number): { readonly arena: Arena; readonly kernels: Kernels } {
  const arena = new Arena({ size });
  const kernels = instantiateKernels(new WebAssembly.Module(readFileSync(kernelsUrl)), arena.memory);
  return { arena, kernels };
}
