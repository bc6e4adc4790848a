/** How a peer reaches its device, which knows all peers. */
import type { ExchangeContext, Indices } from "./exchange.ts";
import type { OutputOf } from "./output.ts";

/** What a peer needs of its device. */
export interface PeerContextOf<Peer> extends ExchangeContext, Indices<Peer> {
  /** Whether the interface is up: while it is not, nothing is sent. */
  readonly isRunning: boolean;
  emit(output: OutputOf<Peer>): void;
  /** The peer's deadlines may have changed. */
  reconsider(peer: Peer): void;
  /** Whether a handshake that no packet waits for may begin before the next `expire`. To be asked once for each. */
  admit(peer: Peer): boolean;
}
