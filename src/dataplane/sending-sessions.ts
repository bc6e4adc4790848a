/**
 * What belongs to sending over a peer's session, beside sealing: which keypair, the next nonces, and what is noted of it.
 * Whoever reads from the device does this, one worker at a time (turns.ts): no nonce is ever given out twice.
 *
 * Hot path.
 */
import { RejectAfterMessages, RekeyAfterMessages } from "../wireguard/constants.ts";
import { KeypairRecord, PeerRecord, type SharedMemory } from "./shared-memory.ts";

/** Kinds of records from the outbound workers to main. `first` is the peer's id, `second` its generation. */
export const FromOutbound = { stage: 1, freshen: 2 } as const;

/** Main is asked for a new handshake at most this often for one keypair. */
const askAgainAfterMs = 1000;

export class SendingSessions {
  readonly #memory: SharedMemory;
  readonly #clock: Float64Array;

  /** `clock` as in `OutboundOptions`. */
  constructor(memory: SharedMemory, clock: Float64Array) {
    this.#memory = memory;
    this.#clock = clock;
  }

  /** The record of the keypair to seal with for a peer (its record), or -1 if there is none or its time is over. */
  keypair(peer: number): number {
    const slot = Atomics.load(this.#memory.words, (peer + PeerRecord.sendingKeypair) >> 2);
    if (slot === 0) return -1;
    const keypair = this.#memory.keypair(slot - 1);
    // One that main has let go of since, or that the inbound worker is about to take back.
    if (Atomics.load(this.#memory.words, (keypair + KeypairRecord.live) >> 2) !== 1) return -1;
    const floats = this.#memory.floats;
    if (this.#clock[0] >= floats[(keypair + KeypairRecord.rejectAt) >> 3]) return -1;
    return floats[(keypair + KeypairRecord.sendCounter) >> 3] >= RejectAfterMessages ? -1 : keypair;
  }

  /** The first of `count` nonces, which are nobody else's. Those from `RejectAfterMessages` on must not be used. */
  takeNonces(keypair: number, count: number): number {
    const { floats } = this.#memory;
    const counterAt = (keypair + KeypairRecord.sendCounter) >> 3;
    const first = floats[counterAt];
    floats[counterAt] = first + count;
    return first;
  }

  /** Notes that data messages of so many bytes go to a peer. */
  noteData(peer: number, bytes: number): void {
    const floats = this.#memory.floats;
    this.noteKeepalive(peer, bytes);
    if (floats[(peer + PeerRecord.unansweredSince) >> 3] === 0) {
      floats[(peer + PeerRecord.unansweredSince) >> 3] = this.#clock[0];
    }
  }

  /** Notes that a keepalive of so many bytes goes to a peer. */
  noteKeepalive(peer: number, bytes: number): void {
    const floats = this.#memory.floats;
    floats[(peer + PeerRecord.sentBytes) >> 3] += bytes;
    floats[(peer + PeerRecord.sentAt) >> 3] = this.#clock[0];
    floats[(peer + PeerRecord.unacknowledgedSince) >> 3] = 0;
  }

  /** Asks main for a new handshake when the keypair has grown old (whitepaper §6.2). Whether it did. */
  freshen(id: number, keypair: number): boolean {
    const floats = this.#memory.floats;
    const now = this.#clock[0];
    const isOld =
      now >= floats[(keypair + KeypairRecord.rekeySendingAt) >> 3] ||
      floats[(keypair + KeypairRecord.sendCounter) >> 3] >= RekeyAfterMessages;
    if (!isOld || now - floats[(keypair + KeypairRecord.outboundAskedAt) >> 3] < askAgainAfterMs) return false;
    if (!this.ask(id)) return false; // asked again with the next packet
    floats[(keypair + KeypairRecord.outboundAskedAt) >> 3] = now;
    return true;
  }

  /** Asks main for a new handshake. False if the ring is full. */
  ask(id: number): boolean {
    const ring = this.#memory.outboundToMain;
    if (ring.reserve(0) < 0) return false;
    ring.commit(FromOutbound.freshen, id, this.#memory.generation(id));
    return true;
  }
}
