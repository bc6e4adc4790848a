/**
 * ChaCha20-Poly1305 over packets in an arena (RFC 8439 §2.8 with WireGuard's nonce, whitepaper §5.4.6): the port, with
 * three providers (aead-selection.ts chooses). `crypto/` has the same cipher for handshakes; this one exists because a packet
 * must be sealed where it lies, without an object or a copy.
 *
 * The contract asks for room around the bytes, so that a provider may make the Poly1305 key and the ciphertext in one
 * pass and lay out what Poly1305 reads in place. Hot path: nothing here allocates, the last-resort provider aside.
 */
import type { Arena } from "../os/arena.ts";
import type { Address } from "../os/libc.ts";
import type { Kernels } from "../packet/kernels.ts";

export const tagLength = 16;
/** Bytes before the text that a provider may overwrite: one block of key stream. */
export const aeadLead = 64;
/** Bytes after the text that a provider may overwrite: the tag, and the padding and lengths that Poly1305 reads. */
export const aeadTail = 32;

export interface PacketAead {
  readonly name: AeadName;

  /**
   * Seals `length` bytes at offset `text` in place and puts the tag after them. `key` is an offset into the key memory,
   * the nonce a counter given as its two 32-bit halves. Overwrites `aeadLead` bytes before and `aeadTail` after the text, so write headers afterwards.
   */
  seal(key: number, low: number, high: number, text: number, length: number): void;

  /**
   * Opens `length` bytes at offset `sealed`, followed by their tag, to offset `text`. False if they are not authentic;
   * what lies at `text` is then garbage. Overwrites `aeadLead` bytes before `sealed` and before `text`; what follows
   * the tag is left as it was. The two places must not overlap.
   */
  open(key: number, low: number, high: number, sealed: number, text: number, length: number): boolean;

  /** Erases and frees what the provider holds. */
  [Symbol.dispose](): void;
}

export const aeadNames = ["block", "evp", "node"] as const;
export type AeadName = (typeof aeadNames)[number];

/** Bytes of arena that a provider works in, of which it keeps the first half. */
export const aeadScratch = 1024;

/** What a provider is made of. */
export interface AeadResources {
  /** Where the packets are. */
  readonly arena: Arena;
  readonly kernels: Kernels;
  /** Offset of `aeadScratch` bytes of the arena. */
  readonly scratch: number;
  /** Where the keys are: memory shared with the thread that owns them. */
  readonly keys: { readonly bytes: Uint8Array; readonly base: Address };
}
