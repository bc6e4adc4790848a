/**
 * Main's hand on the keypair records in shared memory: fills them, publishes them, takes them back and erases them.
 *
 * Which keypair to seal with is for main to say, but for one case: the answer to the first message on a keypair must be
 * sealed with it, since a peer that has lost its sessions can open nothing else, and the answer may be faster than main.
 * So the inbound worker selects the keypair that main has named as the peer's next (`selectNext`). Main takes that name
 * back before it selects another, and the keypair out of the peer's record before it lets go of it.
 */
import {
  KeepaliveTimeout,
  type Milliseconds,
  RejectAfterTime,
  RekeyAfterTime,
  RekeyTimeout,
} from "../wireguard/constants.ts";
import type { Keypair } from "../wireguard/keypair.ts";
import { KeypairRecord, PeerRecord, type SharedMemory } from "./shared-memory.ts";

/** The initiator asks for a new handshake on receiving, too, while there is time for one (whitepaper §6.2). */
const rekeyReceivingAfterMs: Milliseconds = RejectAfterTime - KeepaliveTimeout - RekeyTimeout;

export class KeypairTable {
  readonly #memory: SharedMemory;
  readonly #retire: (release: () => void) => void;
  readonly #slots = new Map<Keypair, number>();
  /** Slots that were used and are free: taken again first, so that few pages are ever touched. */
  readonly #free: number[] = [];
  #unused = 0;

  constructor(memory: SharedMemory, retire: (release: () => void) => void) {
    this.#memory = memory;
    this.#retire = retire;
  }

  /** Lets messages to this keypair be opened. False if the table is full: the session does not come about. */
  add(peerId: number, keypair: Keypair): boolean {
    const slot = this.#free.pop() ?? (this.#unused < this.#memory.keypairSlots ? this.#unused++ : undefined);
    if (slot === undefined) return false;
    const { bytes, words, floats } = this.#memory;
    const record = this.#memory.keypair(slot);
    this.#memory.eraseKeypair(record);
    bytes.set(keypair.sendKey, record + KeypairRecord.sendKey);
    bytes.set(keypair.receiveKey, record + KeypairRecord.receiveKey);
    keypair.release(); // from here on the record, which no core dump shows, holds the only copy
    words[(record + KeypairRecord.localIndex) >> 2] = keypair.localIndex;
    words[(record + KeypairRecord.remoteIndex) >> 2] = keypair.remoteIndex;
    words[(record + KeypairRecord.peer) >> 2] = peerId;
    // The responder learns from the first message that the initiator has the keys; the initiator knows.
    words[(record + KeypairRecord.confirmed) >> 2] = keypair.isInitiator ? 1 : 0;
    const never = Number.POSITIVE_INFINITY;
    const { createdAt, isInitiator } = keypair;
    floats[(record + KeypairRecord.rekeySendingAt) >> 3] = isInitiator ? createdAt + RekeyAfterTime : never;
    floats[(record + KeypairRecord.rekeyReceivingAt) >> 3] = isInitiator ? createdAt + rekeyReceivingAfterMs : never;
    floats[(record + KeypairRecord.rejectAt) >> 3] = createdAt + RejectAfterTime;
    Atomics.store(words, (record + KeypairRecord.live) >> 2, 1);
    const next = (this.#memory.peer(peerId) + PeerRecord.nextKeypair) >> 2;
    if (!isInitiator) Atomics.store(words, next, slot + 1);
    if (!this.#memory.insertIndex(keypair.localIndex | 0, slot)) {
      this.#erase(slot);
      return false;
    }
    this.#slots.set(keypair, slot);
    return true;
  }

  /** Makes a keypair the one to seal with; `undefined` for none. */
  select(peerId: number, keypair: Keypair | undefined): void {
    const slot = keypair === undefined ? undefined : this.#slots.get(keypair);
    const peer = this.#memory.peer(peerId);
    Atomics.store(this.#memory.words, (peer + PeerRecord.nextKeypair) >> 2, 0);
    Atomics.store(this.#memory.words, (peer + PeerRecord.sendingKeypair) >> 2, slot === undefined ? 0 : slot + 1);
  }

  /** Ends the use of a keypair, and erases its keys once no worker holds them. */
  remove(keypair: Keypair): void {
    const slot = this.#slots.get(keypair);
    keypair.wipe();
    if (slot === undefined) return;
    this.#slots.delete(keypair);
    const { words } = this.#memory;
    const record = this.#memory.keypair(slot);
    const peer = this.#memory.peer(words[(record + KeypairRecord.peer) >> 2]);
    Atomics.store(words, (record + KeypairRecord.live) >> 2, 0);
    Atomics.compareExchange(words, (peer + PeerRecord.nextKeypair) >> 2, slot + 1, 0);
    Atomics.compareExchange(words, (peer + PeerRecord.sendingKeypair) >> 2, slot + 1, 0);
    this.#memory.removeIndex(keypair.localIndex, slot);
    this.#retire(() => this.#erase(slot));
  }

  /** Overwrites every key. The workers have ended. */
  eraseAll(): void {
    for (const keypair of this.#slots.keys()) keypair.wipe();
    this.#slots.clear();
    for (let slot = 0; slot < this.#unused; slot++) this.#erase(slot);
  }

  #erase(slot: number): void {
    const record = this.#memory.keypair(slot);
    this.#memory.eraseKeypair(record);
    this.#free.push(slot);
  }
}

/**
 * The inbound worker: has its peer's next keypair (its record's offset) sealed with from now on, if main has not thought
 * better of it. What main withdraws between the steps is found withdrawn after them, by this thread or by main.
 */
export function selectNext(memory: SharedMemory, peer: number, keypair: number): void {
  const { words } = memory;
  const next = (peer + PeerRecord.nextKeypair) >> 2;
  const sending = (peer + PeerRecord.sendingKeypair) >> 2;
  const slot = memory.slotOf(keypair) + 1;
  const former = Atomics.load(words, sending);
  if (Atomics.load(words, next) !== slot) return;
  if (Atomics.compareExchange(words, sending, former, slot) !== former) return;
  if (Atomics.load(words, next) === slot) return;
  // Withdrawn meanwhile. What was sealed with before is so again, unless that, too, has been withdrawn.
  if (Atomics.compareExchange(words, sending, slot, former) !== slot || former === 0) return;
  const isLive = Atomics.load(words, (memory.keypair(former - 1) + KeypairRecord.live) >> 2) === 1;
  if (!isLive) Atomics.compareExchange(words, sending, former, 0);
}
