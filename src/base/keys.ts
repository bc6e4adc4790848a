/**
 * The three 32-byte keys of WireGuard as values that cannot be printed by accident: a secret shows as `<redacted>` in
 * logs, JSON and the inspector, and is overwritten when its owner disposes of it.
 */
import { equalBytes, fromBase64, fromHex, isZero, pack, toBase64, toHex, unpack, wipe } from "./bytes.ts";
import { VpnError } from "./errors.ts";

export const keyLength = 32;
const redacted = "<redacted>";

abstract class SecretKey {
  /** The key itself. Not a copy: hand it to primitives, never to output. */
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = Uint8Array.from(checked(bytes)); // `slice` of a Node Buffer would share its memory
  }

  equals(other: SecretKey): boolean {
    return equalBytes(this.bytes, other.bytes);
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [Symbol.dispose](): void {
    wipe(this.bytes);
  }

  /** The base64 text that configuration files hold. The only way to get the secret as text, so that it is easy to find. */
  reveal(): string {
    return toBase64(this.bytes);
  }
}

/** A Curve25519 secret, clamped as RFC 7748 §5 asks when it is used. */
export class PrivateKey extends SecretKey {
  /** Parses base64 or 64 hexadecimal digits. Throws `invalid-argument`, without quoting what it was given. */
  static parse(text: string): PrivateKey {
    return new PrivateKey(decodeKey(text, "private key", "genkey"));
  }
}

/** A symmetric key that two peers share beside their key pairs; all zeros means none (whitepaper §5.2). */
export class PresharedKey extends SecretKey {
  static readonly none: PresharedKey = new PresharedKey(new Uint8Array(keyLength));

  /** Parses base64 or 64 hexadecimal digits. Throws `invalid-argument`, without quoting what it was given. */
  static parse(text: string): PresharedKey {
    return new PresharedKey(decodeKey(text, "preshared key", "genpsk"));
  }

  get isNone(): boolean {
    return isZero(this.bytes);
  }
}

/** A Curve25519 point: who a peer is. */
export class PublicKey {
  /** The key as a string of 32 characters (see `pack`): by this a peer is found. Not for output. */
  readonly packed: string;

  constructor(bytes: Uint8Array) {
    this.packed = pack(checked(bytes));
  }

  /** Parses base64 or 64 hexadecimal digits. Throws `invalid-argument`. */
  static parse(text: string): PublicKey {
    return new PublicKey(decodeKey(text, "public key", "pubkey"));
  }

  /** A copy. */
  get bytes(): Uint8Array {
    return unpack(this.packed);
  }

  equals(other: PublicKey): boolean {
    return this.packed === other.packed;
  }

  toString(): string {
    return toBase64(this.bytes);
  }

  toJSON(): string {
    return this.toString();
  }

  /** The short form for logs: the first characters identify a peer among those of one tunnel. */
  get short(): string {
    return `${this.toString().slice(0, 8)}…`;
  }

  get hex(): string {
    return toHex(this.bytes);
  }
}

// Node's inspector asks for this symbol by its registered name, which needs no import of `node:util`.
for (const { prototype } of [SecretKey, PublicKey]) {
  Object.defineProperty(prototype, Symbol.for("nodejs.util.inspect.custom"), {
    value(this: SecretKey | PublicKey): string {
      return this.toString();
    },
  });
}

function checked(bytes: Uint8Array): Uint8Array {
  if (bytes.length === keyLength) return bytes;
  throw new VpnError("invalid-argument", `a key has 32 bytes, not ${bytes.length}`);
}

function decodeKey(text: string, what: string, maker: string): Uint8Array {
  const bytes = text.length === 2 * keyLength ? fromHex(text) : fromBase64(text);
  if (bytes?.length !== keyLength) {
    throw new VpnError("invalid-argument", `not a ${what}`, {
      remedy: `give the 44 characters of base64 that \`warren ${maker}\` prints`,
    });
  }
  return bytes;
}
