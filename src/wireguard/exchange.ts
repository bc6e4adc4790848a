/**
 * The handshakes with one peer: what must be remembered from one message to the next, and from one handshake to the
 * next. Knows no timers and no sessions; those are `peer.ts`'s, which sends what this makes and keeps what it agrees on.
 */
import { pack, unpack, wipe } from "../base/bytes.ts";
import type { DropReason } from "../base/errors.ts";
import type { PresharedKey, PublicKey } from "../base/keys.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { HandshakeInitiationInterval, type Milliseconds } from "./constants.ts";
import { CookieJar, type Random } from "./cookies.ts";
import {
  authenticateInitiation,
  type Correspondent,
  consumeResponse,
  createInitiation,
  type Identity,
  type Initiated,
  type OpenedInitiation,
  type Respond,
  type SessionKeys,
} from "./handshake.ts";
import { Response, readUint32 } from "./messages.ts";
import { isLater, stampAfter } from "./timestamp.ts";

const secretLength = 32;

export interface ExchangeContext {
  readonly primitives: Primitives;
  readonly random: Random;
  readonly respond: Respond;
  readonly wallClock: () => Milliseconds;
  /** Who we are, at the moment. */
  readonly identity: Identity | undefined;
}

/** Whose handshakes they are. */
export interface ExchangeOwner {
  readonly publicKey: PublicKey;
  /** As it is when a message is made or read. */
  readonly presharedKey: PresharedKey;
}

/** Random 32-bit numbers by which messages to the owner's handshake or session will be known. */
export interface Indices<Owner> {
  claimIndex(owner: Owner): number;
  releaseIndex(index: number): void;
}

/** A session both sides can have the keys of. Its index is now the session's to release. */
export interface Agreement {
  readonly localIndex: number;
  readonly keys: SessionKeys;
}

/** An initiation that was sent and may be answered. */
export interface PendingInitiation {
  readonly localIndex: number;
  /** Whether this response could only come from the peer, to this very initiation. */
  isAnsweredBy(response: Uint8Array): boolean;
  /** Gives the index back and wipes the secrets; once. */
  abandon(): void;
}

/** The same as responder, and the message that is to be sent for it. */
export interface Answer extends Agreement {
  readonly message: Uint8Array;
}

export class Exchange<Owner extends ExchangeOwner> {
  readonly #context: ExchangeContext & Indices<Owner>;
  readonly #owner: Owner;
  readonly #cookies: CookieJar;
  #initiated: Initiated | undefined;
  /** An answer is being made, perhaps in another thread; the index of its session. */
  #answering: { readonly localIndex: number } | undefined;
  /** X25519 of the two static keys: the same in all handshakes, so made once, when first needed. */
  #staticStatic: Uint8Array | undefined;
  #initiationReceivedAt: Milliseconds = Number.NEGATIVE_INFINITY;
  /** Stamps are packed. */
  #greatestStampReceived: string | undefined;
  #lastStampSent: string | undefined;

  constructor(context: ExchangeContext & Indices<Owner>, owner: Owner) {
    this.#context = context;
    this.#owner = owner;
    this.#cookies = new CookieJar(context.primitives, owner.publicKey);
  }

  /** A new initiation, in place of any before it. `undefined` where we have no key, or the peer's is of low order. */
  initiate(now: Milliseconds): Uint8Array | undefined {
    this.abandon();
    const created = this.#create(now);
    this.#initiated = created?.initiated;
    return created?.message;
  }

  /** A new initiation beside the one under way, which comes to nothing but an answer. */
  begin(now: Milliseconds): { readonly message: Uint8Array; readonly pending: PendingInitiation } | undefined {
    const created = this.#create(now);
    if (created === undefined) return undefined;
    const { initiated, message } = created;
    return {
      message,
      pending: {
        localIndex: initiated.localIndex,
        isAnsweredBy: (response) => {
          const { primitives, identity } = this.#context;
          const psk = this.#owner.presharedKey;
          const keys = identity && consumeResponse(primitives, identity, psk, initiated, response);
          if (keys !== undefined) wipe(keys.sendKey, keys.receiveKey);
          return keys !== undefined;
        },
        abandon: () => {
          this.#context.releaseIndex(initiated.localIndex);
          initiated[Symbol.dispose]();
        },
      },
    };
  }

  /**
   * Answers an initiation that claims to be from this peer. `done` is told the answer, perhaps later, unless it is
   * withdrawn by then: by a newer initiation, or a `reset`.
   */
  answer(now: Milliseconds, opened: OpenedInitiation, done: (answer: Answer) => void): DropReason | undefined {
    const { respond, random } = this.#context;
    const correspondent = this.#correspondent();
    const stamp = correspondent && authenticateInitiation(opened, correspondent.staticStatic);
    if (correspondent === undefined || stamp === undefined) return "handshake-undecryptable";
    if (this.#greatestStampReceived && !isLater(stamp, unpack(this.#greatestStampReceived)))
      return "handshake-replayed";
    if (now - this.#initiationReceivedAt < HandshakeInitiationInterval) return "handshake-flood";
    this.#greatestStampReceived = pack(stamp);
    this.#initiationReceivedAt = now;
    this.#withdraw();
    const localIndex = this.#context.claimIndex(this.#owner);
    const answering = { localIndex };
    this.#answering = answering;
    let reason: DropReason | undefined;
    respond(correspondent, opened, { localIndex, ephemeral: random(secretLength) }, (created) => {
      if (this.#answering !== answering) {
        if (created !== undefined) wipe(created.keys.sendKey, created.keys.receiveKey);
        return;
      }
      if (created === undefined) {
        this.#withdraw();
        reason = "handshake-undecryptable";
        return;
      }
      this.#answering = undefined;
      this.abandon(); // one handshake at a time, and theirs is further on
      this.#cookies.addMacs(now, created.message);
      done({ localIndex, keys: created.keys, message: created.message });
    });
    return reason;
  }

  /** Takes a response that names an index of this peer. One that is not authentic changes nothing. */
  complete(message: Uint8Array): Agreement | DropReason {
    const { primitives, identity } = this.#context;
    const initiated = this.#initiated;
    if (identity === undefined || initiated?.localIndex !== readUint32(message, Response.receiver)) {
      return "handshake-unexpected";
    }
    const keys = consumeResponse(primitives, identity, this.#owner.presharedKey, initiated, message);
    if (keys === undefined) return "handshake-undecryptable";
    initiated[Symbol.dispose]();
    this.#initiated = undefined;
    return { localIndex: initiated.localIndex, keys };
  }

  /** Takes a cookie reply that names an index of this peer. */
  takeCookie(now: Milliseconds, message: Uint8Array): DropReason | undefined {
    return this.#cookies.consume(now, message);
  }

  /** Forgets the handshake under way and wipes its secrets. */
  abandon(): void {
    if (this.#initiated === undefined) return;
    this.#context.releaseIndex(this.#initiated.localIndex);
    this.#initiated[Symbol.dispose]();
    this.#initiated = undefined;
  }

  /** Our own key is about to change, or the interface goes down. */
  reset(): void {
    this.abandon();
    this.#withdraw();
    if (this.#staticStatic !== undefined) wipe(this.#staticStatic);
    this.#staticStatic = undefined;
  }

  #create(now: Milliseconds): { readonly message: Uint8Array; readonly initiated: Initiated } | undefined {
    const { primitives, identity, random, wallClock } = this.#context;
    const correspondent = this.#correspondent();
    if (identity === undefined || correspondent === undefined) return undefined;
    const last = this.#lastStampSent;
    const timestamp = stampAfter(last === undefined ? undefined : unpack(last), wallClock());
    const localIndex = this.#context.claimIndex(this.#owner);
    const ephemeral = random(secretLength);
    const created = createInitiation(primitives, identity, correspondent, { localIndex, ephemeral, timestamp });
    if (created === undefined) {
      this.#context.releaseIndex(localIndex);
      return undefined;
    }
    this.#lastStampSent = pack(timestamp);
    this.#cookies.addMacs(now, created.message);
    return created;
  }

  /** The answer that is being made is not wanted any more. */
  #withdraw(): void {
    if (this.#answering !== undefined) this.#context.releaseIndex(this.#answering.localIndex);
    this.#answering = undefined;
  }

  #correspondent(): Correspondent | undefined {
    const { primitives, identity } = this.#context;
    if (identity === undefined) return undefined;
    this.#staticStatic ??= primitives.x25519(identity.privateKey.bytes, this.#owner.publicKey.bytes);
    if (this.#staticStatic === undefined) return undefined;
    return {
      publicKey: this.#owner.publicKey,
      presharedKey: this.#owner.presharedKey,
      staticStatic: this.#staticStatic,
    };
  }
}
