/**
 * The two macs at the end of handshake messages and the cookies between them, whitepaper §5.3 and §5.4.4 to §5.4.7.
 * mac1 proves that the sender knows whom it talks to, and is always asked for. mac2 proves that it receives what is
 * sent to its address, and is asked for under load only: the cookie that makes it is sent there in a reply that costs
 * no more to make than to ask for.
 */

import type { Endpoint } from "../base/address.ts";
import { concatBytes, equalBytes, pack, unpack, wipe } from "../base/bytes.ts";
import type { PublicKey } from "../base/keys.ts";
import type { SymmetricPrimitives } from "../crypto/primitives.ts";
import { CookieRefreshTime, labelCookie, labelMac1, type Milliseconds } from "./constants.ts";
import { CookieReply, macLength, writeUint32 } from "./messages.ts";

/** A source of that many unpredictable bytes. */
export type Random = (length: number) => Uint8Array;

const labelMac1Bytes = new TextEncoder().encode(labelMac1);
const labelCookieBytes = new TextEncoder().encode(labelCookie);
const secretLength = 32;
const nonceLength = 24;

/** The key of mac1 in messages to the owner of this public key (whitepaper §5.4.4). No secret. */
export function mac1KeyOf(primitives: SymmetricPrimitives, publicKey: PublicKey): Uint8Array {
  return primitives.hash(labelMac1Bytes, publicKey.bytes);
}

function cookieKeyOf(primitives: SymmetricPrimitives, publicKey: PublicKey): Uint8Array {
  return primitives.hash(labelCookieBytes, publicKey.bytes);
}

/** The receiver's side: checks macs and hands out cookies. One per private key. */
export class CookieChecker implements Disposable {
  readonly #primitives: SymmetricPrimitives;
  readonly #random: Random;
  readonly #mac1Key: Uint8Array;
  readonly #cookieKey: Uint8Array;
  #secret: Uint8Array;
  #secretAt = Number.NEGATIVE_INFINITY;

  constructor(primitives: SymmetricPrimitives, random: Random, publicKey: PublicKey) {
    this.#primitives = primitives;
    this.#random = random;
    this.#mac1Key = mac1KeyOf(primitives, publicKey);
    this.#cookieKey = cookieKeyOf(primitives, publicKey);
    this.#secret = new Uint8Array(secretLength);
  }

  checkMac1(message: Uint8Array): boolean {
    const at = message.length - 2 * macLength;
    const mac1 = this.#primitives.mac(this.#mac1Key, message.subarray(0, at));
    return equalBytes(mac1, message.subarray(at, at + macLength));
  }

  /** A cookie is good for one address and port, and for two minutes at most. */
  checkMac2(now: Milliseconds, message: Uint8Array, source: Endpoint): boolean {
    if (now - this.#secretAt >= CookieRefreshTime) return false; // no cookie that is out there is still good
    const at = message.length - macLength;
    const mac2 = this.#primitives.mac(this.#cookie(source), message.subarray(0, at));
    return equalBytes(mac2, message.subarray(at));
  }

  /** The reply to a handshake message with a right mac1 that bears `senderIndex`. */
  reply(now: Milliseconds, message: Uint8Array, senderIndex: number, source: Endpoint): Uint8Array {
    if (now - this.#secretAt >= CookieRefreshTime) {
      wipe(this.#secret);
      this.#secret = this.#random(secretLength);
      this.#secretAt = now;
    }
    const mac1 = message.subarray(message.length - 2 * macLength, message.length - macLength);
    const nonce = this.#random(nonceLength);
    const reply = new Uint8Array(CookieReply.size);
    writeUint32(reply, 0, CookieReply.type);
    writeUint32(reply, CookieReply.receiver, senderIndex);
    reply.set(nonce, CookieReply.nonce);
    reply.set(this.#primitives.xseal(this.#cookieKey, nonce, this.#cookie(source), mac1), CookieReply.encryptedCookie);
    return reply;
  }

  [Symbol.dispose](): void {
    wipe(this.#secret);
  }

  #cookie(source: Endpoint): Uint8Array {
    const port = Uint8Array.of(source.port >> 8, source.port);
    return this.#primitives.mac(this.#secret, concatBytes(source.address.bytes, port));
  }
}

/** The sender's side: adds macs and remembers the peer's cookie. One per peer. */
export class CookieJar {
  readonly #primitives: SymmetricPrimitives;
  /** Whose two keys are derived when they are needed: that takes a microsecond, and keeping them half a kilobyte. */
  readonly #peer: PublicKey;
  /** Packed. */
  #lastMac1: string | undefined;
  #cookie: { readonly bytes: Uint8Array; readonly at: Milliseconds } | undefined;

  constructor(primitives: SymmetricPrimitives, peer: PublicKey) {
    this.#primitives = primitives;
    this.#peer = peer;
  }

  /** Writes mac1, and mac2 where there is a fresh cookie, into the end of a handshake message. */
  addMacs(now: Milliseconds, message: Uint8Array): void {
    const mac2At = message.length - macLength;
    const mac1At = mac2At - macLength;
    const mac1 = this.#primitives.mac(mac1KeyOf(this.#primitives, this.#peer), message.subarray(0, mac1At));
    message.set(mac1, mac1At);
    this.#lastMac1 = pack(mac1);
    if (this.#cookie !== undefined && now - this.#cookie.at < CookieRefreshTime) {
      message.set(this.#primitives.mac(this.#cookie.bytes, message.subarray(0, mac2At)), mac2At);
    }
  }

  /**
   * Takes the cookie out of a reply. It answers the last message of ours or none: the reply is bound to its mac1, and a
   * second one to the same message is refused.
   */
  consume(now: Milliseconds, reply: Uint8Array): "cookie-unexpected" | "cookie-undecryptable" | undefined {
    if (this.#lastMac1 === undefined) return "cookie-unexpected";
    const nonce = reply.subarray(CookieReply.nonce, CookieReply.encryptedCookie);
    const sealed = reply.subarray(CookieReply.encryptedCookie);
    const bytes = this.#primitives.xopen(
      cookieKeyOf(this.#primitives, this.#peer),
      nonce,
      sealed,
      unpack(this.#lastMac1),
    );
    if (bytes === undefined) return "cookie-undecryptable";
    this.#cookie = { bytes, at: now };
    this.#lastMac1 = undefined;
    return undefined;
  }
}
