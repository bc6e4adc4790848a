/** What passed an interface since the capture began: kept, and told to whoever waits for a certain packet. */
import { type CapturedPacket, PacketSocket } from "../os/packet-socket.ts";

export class Capture implements Disposable {
  readonly packets: CapturedPacket[] = [];
  readonly #socket: PacketSocket;
  readonly #subscription: Disposable;
  readonly #waiting = new Set<() => void>();

  /** Captures on an interface of this thread's namespace. */
  constructor(device: number) {
    this.#socket = PacketSocket.open({ device });
    this.#subscription = this.#socket.onPackets((packets) => this.#keep(packets));
  }

  /** All packets so far. */
  drain(): readonly CapturedPacket[] {
    this.#keep(this.#socket.drainPackets());
    return this.packets;
  }

  /** How many packets there was no room for. */
  get dropped(): number {
    return this.#socket.dropped();
  }

  /** What `select` makes of the packets as soon as it makes anything, or `undefined` after `timeoutMs`. */
  async find<T>(
    select: (packets: readonly CapturedPacket[]) => T | undefined,
    timeoutMs: number,
  ): Promise<T | undefined> {
    const { promise, resolve } = Promise.withResolvers<T | undefined>();
    const look = () => {
      const found = select(this.packets);
      if (found !== undefined) resolve(found);
    };
    const timer = setTimeout(() => resolve(select(this.drain())), timeoutMs);
    this.#waiting.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(look);
    }
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#socket[Symbol.dispose]();
  }

  #keep(packets: readonly CapturedPacket[]): void {
    if (packets.length === 0) return;
    this.packets.push(...packets);
    for (const look of this.#waiting) look();
  }
}
