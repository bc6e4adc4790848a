/**
 * Datagrams in a byte stream: each after its length, two bytes in network order. That is all of the public format of
 * Mullvad's udp-over-tcp (https://github.com/mullvad/udp-over-tcp, README, "Protocol"), so that its udp2tcp and tcp2udp
 * may be the other end.
 *
 *     0        2                2+n
 *     | length | datagram ...    | length | datagram ...
 *
 * A length of 0 is a datagram without content: it is passed over. Lengths above 65,507 cannot be: UDP carries no more.
 */
import { largestDatagram } from "./datagram-link.ts";

/** Offsets within a frame. */
export const Frame = { length: 0, datagram: 2, overhead: 2 } as const;

/** Writes a frame at `at` and returns where the next one goes. */
export function writeFrame(datagram: Uint8Array, into: Uint8Array, at: number): number {
  into[at] = datagram.length >> 8;
  into[at + 1] = datagram.length & 255;
  into.set(datagram, at + Frame.datagram);
  return at + Frame.overhead + datagram.length;
}

const smallestBuffer = 512;

/**
 * Finds the datagrams in what arrives, however the stream was cut. A frame that arrives whole is not copied; of one that
 * does not, at most twice what has arrived is kept, whatever length it claims.
 */
export class FrameReader {
  #partial: Uint8Array = new Uint8Array(0);
  #filled = 0;

  /** Whether a frame has begun and is not complete. */
  get isInside(): boolean {
    return this.#filled > 0;
  }

  /**
   * Hands on every datagram that is complete now, valid for the length of the call. False where a length cannot be: the
   * stream has lost its meaning, and the reader with it.
   */
  read(chunk: Uint8Array, deliver: (datagram: Uint8Array) => void): boolean {
    let at = 0;
    while (this.#filled > 0 && at < chunk.length) {
      const missing = this.#missing();
      const taken = Math.min(missing, chunk.length - at);
      this.#keep(chunk.subarray(at, at + taken));
      at += taken;
      if (this.#filled < Frame.overhead) return true;
      if (this.#claimed() > largestDatagram) return false;
      if (this.#missing() > 0) continue; // the length is known now, or the chunk is used up
      const datagram = this.#partial.subarray(Frame.datagram, this.#filled);
      this.#filled = 0;
      if (datagram.length > 0) deliver(datagram);
    }
    while (chunk.length - at >= Frame.overhead) {
      const length = (chunk[at] << 8) | chunk[at + 1];
      if (length > largestDatagram) return false;
      const end = at + Frame.overhead + length;
      if (end > chunk.length) break;
      if (length > 0) deliver(chunk.subarray(at + Frame.datagram, end));
      at = end;
    }
    if (at < chunk.length) this.#keep(chunk.subarray(at));
    return true;
  }

  #claimed(): number {
    return (this.#partial[0] << 8) | this.#partial[1];
  }

  /** Bytes to the end of the length or, where that is known, of the frame. */
  #missing(): number {
    const whole = this.#filled < Frame.overhead ? Frame.overhead : Frame.overhead + this.#claimed();
    return whole - this.#filled;
  }

  #keep(bytes: Uint8Array): void {
    const needed = this.#filled + bytes.length;
    if (needed > this.#partial.length) {
      const grown = new Uint8Array(Math.min(Frame.overhead + largestDatagram, Math.max(smallestBuffer, 2 * needed)));
      grown.set(this.#partial.subarray(0, this.#filled));
      this.#partial = grown;
    }
    this.#partial.set(bytes, this.#filled);
    this.#filled = needed;
  }
}
