/**
 * The loops over packet bytes that are worth SIMD, compiled to WebAssembly from `kernels/` by
 * `scripts/compile-kernels.mjs`. They work inside the arena, which is their memory: no byte is copied to reach them, and
 * none outside it can be reached. A call costs about 10 ns.
 *
 * All places are byte offsets into that memory and need no alignment. Kernels check nothing: `Segmenter` and `Coalescer`
 * are the doors that do.
 */

/** Where the compiled module is, for those who may read files. */
export const kernelsUrl: URL = new URL("./kernels/kernels.wasm", import.meta.url);

export interface Kernels {
  /** The memory that the kernels work in. */
  readonly bytes: Uint8Array;

  /**
   * The folded RFC 1071 sum of up to 512 KiB and of `initial`, as little-endian words: what belongs into a header by a
   * 16-bit store in this machine's order, after complementing it.
   */
  sum(at: number, length: number, initial: number): number;
  /** `sum`, copying what it sums. The ranges may not overlap. */
  copySum(to: number, from: number, length: number, initial: number): number;

  /** See `kernels/segmentation.ts`; called by `Segmenter`. */
  segment(
    packet: number,
    length: number,
    transport: number,
    headers: number,
    size: number,
    first: number,
    count: number,
    to: number,
    stride: number,
  ): void;
  /** See `kernels/segmentation.ts`; called by `Segmenter`. */
  transfer(packet: number, length: number, start: number, field: number, to: number): void;

  /** See `kernels/coalescing.ts`; called by `Coalescer`. */
  coalesce(at: number, packet: number, length: number, allowed: number): number;
  /** See `kernels/coalescing.ts`; called by `Coalescer`. */
  finish(at: number): number;

  /**
   * Makes `length` bytes of ciphertext into what Poly1305 is run over: zeros up to a multiple of 16 bytes from `at`,
   * then the block of lengths for no associated data. Writes up to 31 bytes from `at + length` on.
   */
  poly1305Tail(at: number, length: number): void;
  /** 1 where the two 16-byte tags are the same, else 0, in constant time. */
  tagsEqual(a: number, b: number): number;
  zero(at: number, length: number): void;
  /** Copies between ranges that do not overlap. */
  copy(to: number, from: number, length: number): void;
}

/** Binds the kernels to a memory that never grows and is not shared. */
export function instantiateKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  return { ...(instance.exports as unknown as Omit<Kernels, "bytes">), bytes: new Uint8Array(memory.buffer) };
}
