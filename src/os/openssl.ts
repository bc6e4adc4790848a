/**
 * OpenSSL as it is inside the node binary, which exports its symbols: no copy of ours, and none of the system's.
 *
 * `evp` is the public interface. `block` and `curve` are routines under it, exported but not public: whoever uses them must
 * first see them pass a self-test, and must do without them where a build of Node hides them. All pointers are numeric
 * addresses (of an `Arena`), since a call with typed pointers costs four times as much; nothing here checks them.
 */
import koffi from "koffi";
import type { Address } from "./libc.ts";

/** The ciphers' inner routines (OpenSSL: include/crypto/chacha.h, include/crypto/poly1305.h). */
export interface BlockFunctions {
  /** XORs `length` bytes with the keystream; the key is 32 bytes, the counter 4 little-endian words, both aligned to 4. */
  chacha20(out: Address, input: Address, length: number, key: Address, counter: Address): void;
  /** Starts a state of at most 256 bytes from a one-time key of 32. */
  poly1305Init(state: Address, key: Address): void;
  poly1305Update(state: Address, input: Address, length: number): void;
  /** Writes the 16 bytes of the tag. */
  poly1305Final(state: Address, tag: Address): void;
}

/** Curve25519's inner routine (OpenSSL: include/crypto/ecx.h). */
export interface CurveFunctions {
  /** X25519 of a secret, which it clamps, and a point, 32 bytes each and 32 out; 0 where the result is all zeros. */
  x25519(out: Address, secret: Address, point: Address): number;
}

/** The public EVP interface (OpenSSL: EVP_EncryptInit(3)). Those that return a number other than an address give 1 for success. */
export interface EvpFunctions {
  contextNew(): Address;
  contextFree(context: Address): void;
  chacha20Poly1305(): Address;
  control(context: Address, command: number, argument: number, pointer: Address): number;
  encryptInit(context: Address, cipher: Address, engine: Address, key: Address, nonce: Address): number;
  encryptUpdate(context: Address, out: Address, written: Address, input: Address, length: number): number;
  encryptFinal(context: Address, out: Address, written: Address): number;
  decryptInit(context: Address, cipher: Address, engine: Address, key: Address, nonce: Address): number;
  decryptUpdate(context: Address, out: Address, written: Address, input: Address, length: number): number;
  decryptFinal(context: Address, out: Address, written: Address): number;
}

const blockPrototypes: Readonly<Record<keyof BlockFunctions, string>> = {
  chacha20: "void ChaCha20_ctr32(uintptr_t out, uintptr_t input, size_t length, uintptr_t key, uintptr_t counter)",
  poly1305Init: "void Poly1305_Init(uintptr_t state, uintptr_t key)",
  poly1305Update: "void Poly1305_Update(uintptr_t state, uintptr_t input, size_t length)",
  poly1305Final: "void Poly1305_Final(uintptr_t state, uintptr_t tag)",
};

const curvePrototypes: Readonly<Record<keyof CurveFunctions, string>> = {
  x25519: "int ossl_x25519(uintptr_t out, uintptr_t secret, uintptr_t point)",
};

const initialise = "(uintptr_t context, uintptr_t cipher, uintptr_t engine, uintptr_t key, uintptr_t nonce)";
const update = "(uintptr_t context, uintptr_t out, uintptr_t written, uintptr_t input, int length)";
const finish = "(uintptr_t context, uintptr_t out, uintptr_t written)";

const evpPrototypes: Readonly<Record<keyof EvpFunctions, string>> = {
  contextNew: "uintptr_t EVP_CIPHER_CTX_new()",
  contextFree: "void EVP_CIPHER_CTX_free(uintptr_t context)",
  chacha20Poly1305: "uintptr_t EVP_chacha20_poly1305()",
  control: "int EVP_CIPHER_CTX_ctrl(uintptr_t context, int command, int argument, uintptr_t pointer)",
  encryptInit: `int EVP_EncryptInit_ex${initialise}`,
  encryptUpdate: `int EVP_EncryptUpdate${update}`,
  encryptFinal: `int EVP_EncryptFinal_ex${finish}`,
  decryptInit: `int EVP_DecryptInit_ex${initialise}`,
  decryptUpdate: `int EVP_DecryptUpdate${update}`,
  decryptFinal: `int EVP_DecryptFinal_ex${finish}`,
};

const library = koffi.load(null);

/** All functions of a table, or nothing where one of them is missing. */
function bind<T>(prototypes: Readonly<Record<string, string>>): T | undefined {
  try {
    return Object.fromEntries(
      Object.entries(prototypes).map(([name, prototype]) => [name, library.func(prototype)]),
    ) as T;
  } catch {
    return undefined; // koffi throws for a symbol that is not exported
  }
}

export const openssl: {
  readonly block: BlockFunctions | undefined;
  readonly curve: CurveFunctions | undefined;
  readonly evp: EvpFunctions | undefined;
} = {
  block: bind<BlockFunctions>(blockPrototypes),
  curve: bind<CurveFunctions>(curvePrototypes),
  evp: bind<EvpFunctions>(evpPrototypes),
};
