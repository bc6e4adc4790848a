/** The packets of one peer that wait for a session, oldest first. They are kept, not copied. */
import { MaxStagedPackets } from "./constants.ts";

export class StagedPackets {
  /** Made with the first: of ten thousand peers most have none. */
  #packets: Uint8Array[] | undefined;

  get count(): number {
    return this.#packets?.length ?? 0;
  }

  /** Keeps one more. False where the oldest had to go for it. */
  push(packet: Uint8Array): boolean {
    this.#packets ??= [];
    this.#packets.push(packet);
    return this.#packets.length <= MaxStagedPackets || this.#packets.shift() === undefined;
  }

  /** Hands all of them out, and keeps none. */
  take(): readonly Uint8Array[] {
    const packets = this.#packets ?? [];
    this.#packets = undefined;
    return packets;
  }
}
