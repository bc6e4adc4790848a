/**
 * Which counters of a session have been seen: RFC 6479, a ring of 8,192 bits that slides by whole words. A state of all
 * zeros has seen nothing. It lies in a caller's Int32Array, which may be shared memory; one thread alone may use it.
 *
 * Hot path: allocation-free.
 */

// Layout in words: the greatest counter accepted (low and high 32 bits), then the ring.
const low = 0;
const high = 1;
const ring = 2;
const ringWords = 256;

/** How many words of Int32Array a window takes. */
export const replayWindowWords: number = ring + ringWords;

/** A counter this far behind the greatest is still told apart; the word that is being filled is not all free yet. */
export const replayWindowSize: number = (ringWords - 1) * 32;

/**
 * Whether a counter below 2^53 is new; if so it is marked as seen. To be asked only once the message that bears the
 * counter is authenticated (whitepaper §5.4.6), else a stranger could move the window.
 */
export function acceptCounter(words: Int32Array, at: number, counter: number): boolean {
  const greatest = (words[at + high] >>> 0) * 0x1_0000_0000 + (words[at + low] >>> 0);
  if (counter > greatest) {
    const from = Math.floor(greatest / 32);
    const fresh = Math.min(Math.floor(counter / 32) - from, ringWords);
    const fromWord = greatest >>> 5; // the low bits of `from`, all that the ring needs
    for (let i = 1; i <= fresh; i++) words[at + ring + ((fromWord + i) & (ringWords - 1))] = 0;
    words[at + low] = counter;
    words[at + high] = counter / 0x1_0000_0000;
  } else if (greatest - counter > replayWindowSize) {
    return false;
  }
  const word = at + ring + ((counter >>> 5) & (ringWords - 1));
  const bit = 1 << (counter & 31);
  if ((words[word] & bit) !== 0) return false;
  words[word] |= bit;
  return true;
}

/** Whether a counter that the window still covers was seen. Another thread may ask, and be told what was so a moment ago. */
export function wasSeen(words: Int32Array, at: number, counter: number): boolean {
  const word = words[at + ring + (Math.floor(counter / 32) & (ringWords - 1))];
  return (word & (1 << (counter & 31))) !== 0;
}
