/** The checksum of a full segment: the SIMD kernel, the same while copying, and the plain loop for rare packets. */
import { bench, do_not_optimize, group } from "mitata";
import { onesComplementSum } from "../../src/packet/checksum.ts";
import { makeArena } from "./arena.ts";

const from = 64;
const to = 4096;

export function measureChecksum(): void {
  const { kernels } = makeArena(65_536);
  for (const length of [64, 1368]) {
    const bytes = kernels.bytes.subarray(from, from + length).fill(0x5a);
    group(`checksum, ${length} bytes`, () => {
      bench("kernel", () => do_not_optimize(kernels.sum(from, length, 0)));
      bench("kernel, copying", () => do_not_optimize(kernels.copySum(to, from, length, 0)));
      bench("plain", () => do_not_optimize(onesComplementSum(bytes)));
    });
  }
}
