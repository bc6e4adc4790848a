/**
 * The keys of one session, and the three roles a session can have for a peer: `current` sends, `previous` may still
 * receive what was sent before a rekey, `next` was offered by us as responder and waits for its first message.
 */
import { wipe } from "../base/bytes.ts";
import { type Milliseconds, RejectAfterMessages, RejectAfterTime } from "./constants.ts";
import type { SessionKeys } from "./handshake.ts";
import { replayWindowWords } from "./replay-window.ts";

export interface KeypairOptions {
  readonly keys: SessionKeys;
  readonly localIndex: number;
  readonly isInitiator: boolean;
  readonly createdAt: Milliseconds;
}

const noKey = new Uint8Array(0);

export class Keypair {
  /** What messages to us name this session by, and messages to the peer; both unsigned 32-bit. */
  readonly localIndex: number;
  readonly remoteIndex: number;
  /** Empty once they were erased here. */
  sendKey: Uint8Array;
  receiveKey: Uint8Array;
  readonly isInitiator: boolean;
  readonly createdAt: Milliseconds;
  /** The counter of the next message. Only `DataPath` counts here; worker threads keep counters of their own. */
  sendCounter = 0;
  /** What `acceptCounter` works on; likewise only for `DataPath`, which makes the first use of it. */
  #replayWindow: Int32Array | undefined;

  constructor({ keys, localIndex, isInitiator, createdAt }: KeypairOptions) {
    this.localIndex = localIndex;
    this.remoteIndex = keys.remoteIndex;
    this.sendKey = keys.sendKey;
    this.receiveKey = keys.receiveKey;
    this.isInitiator = isInitiator;
    this.createdAt = createdAt;
  }

  get replayWindow(): Int32Array {
    this.#replayWindow ??= new Int32Array(replayWindowWords);
    return this.#replayWindow;
  }

  /** Whether messages may still be opened with it. */
  isLive(now: Milliseconds): boolean {
    return now - this.createdAt < RejectAfterTime;
  }

  /** Whether messages may still be sealed with it. */
  canSend(now: Milliseconds): boolean {
    return this.isLive(now) && this.sendCounter < RejectAfterMessages;
  }

  toJSON(): object {
    const { localIndex, remoteIndex, isInitiator, createdAt } = this;
    return { localIndex, remoteIndex, isInitiator, createdAt, keys: "<redacted>" };
  }

  /** Overwrites both keys and lets go of them. For whoever holds them last, or has copied them elsewhere. */
  release(): void {
    wipe(this.sendKey, this.receiveKey);
    this.sendKey = this.receiveKey = noKey;
  }

  /** The same, at the end of all use. */
  wipe(): void {
    this.release();
    this.sendCounter = RejectAfterMessages;
  }
}

// Node's inspector asks for this symbol by its registered name, which needs no import of `node:util`.
Object.defineProperty(Keypair.prototype, Symbol.for("nodejs.util.inspect.custom"), {
  value(this: Keypair): object {
    return this.toJSON();
  },
});

/** A peer's sessions by role. Every change returns the keypairs that lost theirs. */
export class Keyring {
  current: Keypair | undefined;
  previous: Keypair | undefined;
  next: Keypair | undefined;

  /** As initiator we hold the proof that the peer has the keys: it is current at once. */
  addInitiated(keypair: Keypair): Keypair[] {
    const kept = this.next ?? this.current;
    const removed = [this.previous, kept === this.current ? undefined : this.current];
    this.previous = kept;
    this.next = undefined;
    this.current = keypair;
    return removed.filter((gone) => gone !== undefined);
  }

  /** As responder we must not send with it before the peer has: until then it is next. */
  addAnswered(keypair: Keypair): Keypair[] {
    const removed = [this.next, this.previous];
    this.next = keypair;
    this.previous = undefined;
    return removed.filter((gone) => gone !== undefined);
  }

  /** The first message on `next` arrived: it becomes current. */
  confirm(): Keypair[] {
    const removed = this.previous;
    this.previous = this.current;
    this.current = this.next;
    this.next = undefined;
    return removed === undefined ? [] : [removed];
  }

  /** Whether any message could be opened now. */
  isLive(now: Milliseconds): boolean {
    return [this.current, this.previous, this.next].some((keypair) => keypair?.isLive(now));
  }

  clear(): Keypair[] {
    const removed = [this.current, this.previous, this.next];
    this.current = this.previous = this.next = undefined;
    return removed.filter((gone) => gone !== undefined);
  }
}
