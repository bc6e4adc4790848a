/**
 * What WireGuard makes of BLAKE2s (whitepaper §5.4): HASH, MAC and KDF. Secrets that pass through are overwritten
 * before a function returns. One thread's scratch: nothing here is entered twice at a time.
 */
import { Blake2s } from "./blake2s.ts";

const hashLength = 32;
const macLength = 16;
// RFC 2104 §2
const innerPad = 0x36;
const outerPad = 0x5c;

const first = new Blake2s();
const inner = new Blake2s();
const outer = new Blake2s();
const digest = new Uint8Array(hashLength);
const counter = new Uint8Array(1);

export function hash(...parts: readonly Uint8Array[]): Uint8Array {
  first.begin(hashLength);
  for (const part of parts) first.update(part, 0, part.length);
  return finish(first, hashLength);
}

export function mac(key: Uint8Array, message: Uint8Array): Uint8Array {
  first.begin(macLength, key.length);
  first.updateKey(key, 0);
  first.update(message, 0, message.length);
  return finish(first, macLength);
}

/** See `SymmetricPrimitives.kdf`. The two blocks of the middle secret are compressed once, not once for each output. */
export function kdf(count: 1 | 2 | 3, key: Uint8Array, input: Uint8Array): Uint8Array[] {
  const secret = hmac(key, input);
  inner.begin(hashLength);
  inner.updateKey(secret, innerPad);
  inner.mark();
  outer.begin(hashLength);
  outer.updateKey(secret, outerPad);
  outer.mark();
  secret.fill(0);
  const outputs: Uint8Array[] = [];
  for (let i = 1; i <= count; i++) {
    inner.reset();
    if (i > 1) inner.update(outputs[i - 2], 0, hashLength);
    counter[0] = i;
    inner.update(counter, 0, 1);
    inner.finish();
    inner.answer(digest, 0, hashLength);
    outer.reset();
    outer.update(digest, 0, hashLength);
    outer.finish();
    const output = new Uint8Array(hashLength);
    outer.answer(output, 0, hashLength);
    outputs.push(output);
  }
  inner.wipe();
  outer.wipe();
  digest.fill(0);
  return outputs;
}

/** RFC 2104. */
function hmac(key: Uint8Array, input: Uint8Array): Uint8Array {
  first.begin(hashLength);
  first.updateKey(key, innerPad);
  first.update(input, 0, input.length);
  first.finish();
  first.answer(digest, 0, hashLength);
  first.begin(hashLength);
  first.updateKey(key, outerPad);
  first.update(digest, 0, hashLength);
  digest.fill(0);
  return finish(first, hashLength);
}

function finish(state: Blake2s, length: number): Uint8Array {
  state.finish();
  const answer = new Uint8Array(length);
  state.answer(answer, 0, length);
  state.wipe();
  return answer;
}
