/**
 * The first thing that is asked of a handshake message: whether its mac1 is right (whitepaper §5.4.4), that is, whether
 * the sender knows whom it talks to. It is asked by the inbound worker, so that whoever does not know never costs main
 * anything. Main publishes the key that the mac is made with, which is no secret: it follows from our public key.
 *
 * Main asks again, since its key may have changed meanwhile. While it changes, everything passes the door.
 *
 * Hot path: one message takes 0.8 µs, and strangers send them.
 */
import { Blake2s } from "../crypto/blake2s.ts";
import { macLength } from "../wireguard/messages.ts";
import { Control, type SharedMemory } from "./shared-memory.ts";

const keyWords = 8;
const keyLength = 4 * keyWords;

/** Main: from now on messages for the owner of this key pass; without one, everything does. */
export function publishMac1Key(memory: SharedMemory, key: Uint8Array | undefined): void {
  const { words } = memory;
  const version = Atomics.load(words, Control.mac1Version);
  const even = (version + 1) & ~1;
  Atomics.store(words, Control.mac1Version, even + 1);
  const view = key === undefined ? undefined : new DataView(key.buffer, key.byteOffset, keyLength);
  for (let i = 0; i < keyWords; i++) {
    Atomics.store(words, Control.mac1Key + i, view === undefined ? 0 : view.getInt32(4 * i, true));
  }
  // An odd version is that of no key: the door stands open.
  if (view !== undefined) Atomics.store(words, Control.mac1Version, even + 2);
}

/** The inbound worker's side. */
export class Mac1Door {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #state = new Blake2s();
  readonly #key = new Uint8Array(keyLength);
  #version = 0;

  /** Messages lie in `bytes`. */
  constructor(memory: SharedMemory, bytes: Uint8Array) {
    this.#words = memory.words;
    this.#bytes = bytes;
  }

  /** Whether an initiation or response of this length, which ends with its two macs, may go on. */
  admits(at: number, length: number): boolean {
    const version = Atomics.load(this.#words, Control.mac1Version);
    if (version === 0 || (version & 1) === 1) return true;
    if (version !== this.#version && !this.#load(version)) return true;
    const state = this.#state;
    const covered = length - 2 * macLength;
    state.reset();
    state.update(this.#bytes, at, covered);
    state.finish();
    let difference = 0;
    const end = at + covered;
    for (let i = 0; i < macLength; i++) {
      difference |= this.#bytes[end + i] ^ ((state.words[i >> 2] >>> (8 * (i & 3))) & 255);
    }
    return difference === 0;
  }

  /** Takes the key over. False where main has begun to change it meanwhile. */
  #load(version: number): boolean {
    const key = this.#key;
    for (let i = 0; i < keyLength; i++) {
      key[i] = Atomics.load(this.#words, Control.mac1Key + (i >> 2)) >>> (8 * (i & 3));
    }
    if (Atomics.load(this.#words, Control.mac1Version) !== version) return false;
    this.#state.begin(macLength, keyLength);
    this.#state.updateKey(key, 0);
    this.#state.mark();
    this.#version = version;
    return true;
  }
}
