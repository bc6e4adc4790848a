/** Main's hand on the peer records in shared memory: numbers peers, publishes endpoints, reads stamps and counters. */
import { VpnError } from "../base/errors.ts";
import type { Activity } from "../wireguard/activity.ts";
import type { Milliseconds } from "../wireguard/constants.ts";
import { type EndpointHold, endpointHolds } from "../wireguard/endpoint-hold.ts";
import { endpointWords, writeEndpoint } from "./endpoint-record.ts";
import { PeerRecord, type SharedMemory } from "./shared-memory.ts";

export class PeerTable {
  readonly #memory: SharedMemory;
  readonly #capacity: number;
  readonly #retire: (release: () => void) => void;
  readonly #free: number[] = [];
  #unused = 0;

  constructor(memory: SharedMemory, capacity: number, retire: (release: () => void) => void) {
    this.#memory = memory;
    this.#capacity = capacity;
    this.#retire = retire;
  }

  /** A number for a new peer. Throws `not-available` when there are as many as the tunnel was made for. */
  add(): number {
    const id = this.#free.pop() ?? (this.#unused < this.#capacity ? this.#unused++ : undefined);
    if (id !== undefined) return id;
    throw new VpnError("not-available", `this tunnel has room for ${this.#capacity} peers`);
  }

  /** Gives the number back once no worker uses it. Its keypairs and allowed IPs must be gone already. */
  remove(id: number): void {
    const record = this.#memory.peer(id);
    Atomics.store(this.#memory.words, (record + PeerRecord.sendingKeypair) >> 2, 0);
    this.#retire(() => {
      const { words, bytes } = this.#memory;
      const version = words[(record + PeerRecord.endpointVersion) >> 2];
      const generation = this.#memory.generation(id);
      bytes.fill(0, record, record + PeerRecord.size);
      // Both go on: the outbound worker would take the next peer's endpoint for the one it has loaded, and a request
      // that still lies in a ring would be served for the next peer.
      words[(record + PeerRecord.endpointVersion) >> 2] = version + 2;
      words[(record + PeerRecord.generation) >> 2] = generation + 1;
      this.#free.push(id);
    });
  }

  /** Publishes where a peer is, as `encodeEndpoint` writes it. */
  setEndpoint(id: number, record: Uint8Array): void {
    const endpoint = new Int32Array(endpointWords);
    new Uint8Array(endpoint.buffer).set(record);
    // The inbound worker's own write takes less time than it takes to ask again.
    while (!writeEndpoint(this.#memory.words, this.#memory.peer(id), endpoint, 0));
  }

  /** Says who may move a peer's endpoint from now on. To be called before the endpoint that it is to hold. */
  hold(id: number, hold: EndpointHold): void {
    Atomics.store(this.#memory.words, (this.#memory.peer(id) + PeerRecord.hold) >> 2, endpointHolds.indexOf(hold));
  }

  /** The stamps of a peer, as they are whenever they are read. */
  activity(id: number): Activity {
    return new SharedActivity(this.#memory.floats, this.#memory.peer(id));
  }

  /** Bytes of data messages to and from a peer. */
  transfer(id: number): { readonly sentBytes: number; readonly receivedBytes: number } {
    const record = this.#memory.peer(id);
    const { floats } = this.#memory;
    return {
      sentBytes: floats[(record + PeerRecord.sentBytes) >> 3],
      receivedBytes: floats[(record + PeerRecord.receivedBytes) >> 3],
    };
  }
}

class SharedActivity implements Activity {
  readonly #floats: Float64Array;
  readonly #record: number;

  constructor(floats: Float64Array, record: number) {
    this.#floats = floats;
    this.#record = record;
  }

  get sentAt(): Milliseconds {
    return this.#floats[(this.#record + PeerRecord.sentAt) >> 3];
  }

  set sentAt(now: Milliseconds) {
    this.#floats[(this.#record + PeerRecord.sentAt) >> 3] = now;
  }

  get receivedAt(): Milliseconds {
    return this.#floats[(this.#record + PeerRecord.receivedAt) >> 3];
  }

  set receivedAt(now: Milliseconds) {
    this.#floats[(this.#record + PeerRecord.receivedAt) >> 3] = now;
  }

  get unansweredSince(): Milliseconds {
    return this.#floats[(this.#record + PeerRecord.unansweredSince) >> 3];
  }

  set unansweredSince(now: Milliseconds) {
    this.#floats[(this.#record + PeerRecord.unansweredSince) >> 3] = now;
  }

  get unacknowledgedSince(): Milliseconds {
    return this.#floats[(this.#record + PeerRecord.unacknowledgedSince) >> 3];
  }

  set unacknowledgedSince(now: Milliseconds) {
    this.#floats[(this.#record + PeerRecord.unacknowledgedSince) >> 3] = now;
  }
}
