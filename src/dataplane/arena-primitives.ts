/**
 * The primitives of handshakes over an arena: OpenSSL's X25519 and ChaCha20-Poly1305 by foreign calls, without the objects
 * that `node:crypto` makes around a key. An agreement takes 52 µs where `native.ts` takes 100, sealing 1 where it takes 4
 * (Node 26, AMD EPYC, 2026-11-23). X25519 is no public symbol: it is used only if it passes a self-test, and `native.ts`
 * serves where a build of Node lacks it. What is not made faster here is `native.ts`'s, too.
 */
import { fromHex, wipe } from "../base/bytes.ts";
import { native } from "../crypto/native.ts";
import { type Primitives, tagLength } from "../crypto/primitives.ts";
import { Arena } from "../os/arena.ts";
import { type CurveFunctions, type EvpFunctions, openssl } from "../os/openssl.ts";

const keyLength = 32;
const nonceLength = 12;
const EVP_CTRL_AEAD_GET_TAG = 16;
const EVP_CTRL_AEAD_SET_TAG = 17;

// In the arena. The zeros are never written.
const arenaSize = 65_536;
const zeros = 0;
const key = 64;
const nonce = 96;
const written = 112;
const associatedAt = 128;
const associatedRoom = 384;
const textAt = 512;
const textRoom = 512;
const scratchEnd = 1100;

const basePoint = Uint8Array.from({ length: keyLength }, (_, i) => (i === 0 ? 9 : 0));

// RFC 7748 §6.1
const alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
const bobPublic = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
const agreed = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";

/** For one thread. Disposing erases what it worked in. */
export class ArenaPrimitives implements Primitives, Disposable {
  readonly hash: Primitives["hash"] = native.hash;
  readonly mac: Primitives["mac"] = native.mac;
  readonly kdf: Primitives["kdf"] = native.kdf;
  readonly xseal: Primitives["xseal"] = native.xseal;
  readonly xopen: Primitives["xopen"] = native.xopen;
  readonly #arena = new Arena({ size: arenaSize });
  readonly #bytes = new Uint8Array(this.#arena.buffer);
  readonly #evp: EvpFunctions | undefined;
  readonly #context: number;
  readonly #curve: CurveFunctions | undefined;

  /** Takes what this Node has of `functions`. */
  constructor(functions: Pick<typeof openssl, "evp" | "curve"> = openssl) {
    const { evp, curve } = functions;
    this.#context = evp?.contextNew() ?? 0;
    const cipher = evp?.chacha20Poly1305() ?? 0;
    const isReady = cipher !== 0 && this.#context !== 0;
    this.#evp = isReady && evp?.encryptInit(this.#context, cipher, 0, 0, 0) === 1 ? evp : undefined;
    this.#curve = curve !== undefined && this.#passes(curve) ? curve : undefined;
  }

  x25519(secret: Uint8Array, point: Uint8Array): Uint8Array | undefined {
    return this.#curve === undefined ? native.x25519(secret, point) : this.#product(this.#curve, secret, point);
  }

  /** The product with the base point: OpenSSL's own way to it is the slower one. */
  publicKey(secret: Uint8Array): Uint8Array {
    return this.x25519(secret, basePoint) ?? native.publicKey(secret);
  }

  seal(sealingKey: Uint8Array, sealingNonce: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Uint8Array {
    const evp = this.#evp;
    const { length } = plaintext;
    if (evp === undefined || !this.#load(sealingKey, sealingNonce, plaintext, associated)) {
      return native.seal(sealingKey, sealingNonce, plaintext, associated);
    }
    const context = this.#context;
    const { base } = this.#arena;
    const at = base + textAt;
    evp.encryptInit(context, 0, 0, base + key, base + nonce);
    evp.encryptUpdate(context, 0, base + written, base + associatedAt, associated.length);
    evp.encryptUpdate(context, at, base + written, at, length);
    evp.encryptFinal(context, at + length, base + written);
    evp.control(context, EVP_CTRL_AEAD_GET_TAG, tagLength, at + length);
    return this.#result(length + tagLength);
  }

  open(
    openingKey: Uint8Array,
    openingNonce: Uint8Array,
    sealed: Uint8Array,
    associated: Uint8Array,
  ): Uint8Array | undefined {
    const evp = this.#evp;
    const length = sealed.length - tagLength;
    if (length < 0) return undefined;
    if (evp === undefined || !this.#load(openingKey, openingNonce, sealed, associated)) {
      return native.open(openingKey, openingNonce, sealed, associated);
    }
    const context = this.#context;
    const { base } = this.#arena;
    const at = base + textAt;
    evp.decryptInit(context, 0, 0, base + key, base + nonce);
    evp.control(context, EVP_CTRL_AEAD_SET_TAG, tagLength, at + length);
    evp.decryptUpdate(context, 0, base + written, base + associatedAt, associated.length);
    evp.decryptUpdate(context, at, base + written, at, length);
    const isAuthentic = evp.decryptFinal(context, at + length, base + written) === 1;
    const plaintext = this.#result(length);
    if (isAuthentic) return plaintext;
    wipe(plaintext);
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#evp?.contextFree(this.#context);
    this.#arena[Symbol.dispose]();
  }

  #passes(curve: CurveFunctions): boolean {
    const [secret, point, expected] = [alice, bobPublic, agreed].map((hex) => fromHex(hex) ?? new Uint8Array());
    const product = this.#product(curve, secret, point);
    const refusesZero = this.#product(curve, secret, new Uint8Array(keyLength)) === undefined;
    return refusesZero && product !== undefined && expected.every((byte, i) => byte === product[i]);
  }

  #product(curve: CurveFunctions, secret: Uint8Array, point: Uint8Array): Uint8Array | undefined {
    if (secret.length !== keyLength || point.length !== keyLength) throw new RangeError("a key has 32 bytes");
    const bytes = this.#bytes;
    const { base } = this.#arena;
    bytes.set(secret, key);
    bytes.set(point, associatedAt);
    const isProper = curve.x25519(base + textAt, base + key, base + associatedAt) === 1;
    const product = isProper ? bytes.slice(textAt, textAt + keyLength) : undefined;
    bytes.fill(0, key, key + keyLength);
    bytes.fill(0, textAt, textAt + keyLength);
    return product;
  }

  /** Lays out what a foreign call is to see. False where it has no room, as for no message of a handshake. */
  #load(withKey: Uint8Array, withNonce: Uint8Array, text: Uint8Array, associated: Uint8Array): boolean {
    if (withKey.length !== keyLength || withNonce.length !== nonceLength) return false;
    if (text.length > textRoom || associated.length > associatedRoom) return false;
    this.#bytes.set(withKey, key);
    this.#bytes.set(withNonce, nonce);
    this.#bytes.set(associated, associatedAt);
    this.#bytes.set(text, textAt);
    return true;
  }

  /** Takes the answer out, and overwrites the key here and in the context. */
  #result(length: number): Uint8Array {
    const result = this.#bytes.slice(textAt, textAt + length);
    this.#bytes.fill(0, key, scratchEnd);
    const { base } = this.#arena;
    this.#evp?.encryptInit(this.#context, 0, 0, base + zeros, base + zeros);
    return result;
  }
}
