/**
 * What goes wrong, in the two ways it can.
 *
 * A stranger's bytes are never an exception: pure code answers with a `DropReason`, which is counted and shown, and the
 * packet is gone. `VpnError` is for the operator and the programmer: it says what failed and what to do about it, and
 * carries a stable `code` that programs may match on.
 */

/** Every reason for which a packet or message is dropped. The position is its index in counter tables: append only. */
export const dropReasons = [
  // what arrived on the UDP socket
  "message-too-short",
  "message-unknown-type",
  "message-wrong-length",
  "mac1-invalid",
  "mac2-required",
  "rate-limited",
  "handshake-queue-full",
  "handshake-undecryptable",
  "handshake-unknown-peer",
  "handshake-replayed",
  "handshake-flood",
  "handshake-unexpected",
  "cookie-unexpected",
  "cookie-undecryptable",
  "index-unknown",
  "keypair-expired",
  "counter-too-large",
  "message-undecryptable",
  "message-replayed",
  // what was found inside, once opened
  "packet-malformed",
  "packet-wrong-source",
  // what arrived from the TUN device
  "packet-no-peer",
  "peer-no-endpoint",
  "staging-full",
  "offload-malformed",
  // what the kernel refused
  "send-failed",
  "tun-write-failed",
  "message-truncated",
  "keypair-table-full",
  "peer-removed",
  "packet-too-large",
  // what waited for a handshake that never came about
  "peer-unreachable",
  // what came while the interface was down
  "interface-down",
  // what a congested router has marked although it cannot carry the mark (RFC 6040 §4.2)
  "packet-not-ecn-capable",
] as const;

export type DropReason = (typeof dropReasons)[number];

export type VpnErrorCode =
  | "invalid-argument"
  | "invalid-configuration"
  | "invalid-input"
  | "system-call-failed"
  | "not-permitted"
  | "not-available"
  | "name-taken"
  | "port-taken"
  | "worker-failed"
  | "hook-failed"
  | "lab-step-failed"
  | "interface-deleted";

export interface VpnErrorOptions {
  /** One sentence that tells the reader what to do. Printed after the message. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/** An error meant for a person: `message` says what failed, `remedy` what to do, `code` stays stable across releases. */
export class VpnError extends Error {
  readonly code: VpnErrorCode;
  readonly remedy: string | undefined;

  constructor(code: VpnErrorCode, message: string, options: VpnErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "VpnError";
    this.code = code;
    this.remedy = options.remedy;
  }

  /** The one line an operator reads: what failed and what to do about it. */
  get line(): string {
    return this.remedy === undefined ? this.message : `${this.message}: ${this.remedy}`;
  }
}
