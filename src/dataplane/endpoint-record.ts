/**
 * Where a peer is, as two threads write it and one reads it without a lock: a sequence lock (kernel
 * Documentation/locking/seqlock.rst). The version is odd while somebody writes; a reader that meets that, or a version
 * that has changed meanwhile, reads again. Main writes what is configured and what handshakes tell; the inbound worker
 * writes where the last message came from, before it hands the packet over, so that its answer finds the way.
 *
 * Atomics throughout: on arm64 plain accesses may pass those that keep the version. Hot path.
 */
import { PeerRecord } from "./shared-memory.ts";

/** Words that an endpoint takes outside the record, too: the length of the socket address in bytes, then the address. */
export const endpointWords: number = 1 + PeerRecord.endpointRoom / 4;

/** Writes an endpoint of `endpointWords` words at `at` into a peer's record. False if another thread is writing there. */
export function writeEndpoint(shared: Int32Array, peer: number, from: Int32Array, at: number): boolean {
  const versionWord = (peer + PeerRecord.endpointVersion) >> 2;
  const version = Atomics.load(shared, versionWord);
  if ((version & 1) !== 0 || Atomics.compareExchange(shared, versionWord, version, version + 1) !== version)
    return false;
  const to = (peer + PeerRecord.endpointLength) >> 2;
  for (let i = 0; i < endpointWords; i++) Atomics.store(shared, to + i, from[at + i]);
  Atomics.store(shared, versionWord, version + 2);
  return true;
}

/** Copies a peer's endpoint to `at` and returns its version, which changes with each that is written. */
export function readEndpoint(shared: Int32Array, peer: number, into: Int32Array, at: number): number {
  const versionWord = (peer + PeerRecord.endpointVersion) >> 2;
  const from = (peer + PeerRecord.endpointLength) >> 2;
  for (;;) {
    const version = Atomics.load(shared, versionWord);
    for (let i = 0; i < endpointWords; i++) into[at + i] = Atomics.load(shared, from + i);
    if ((version & 1) === 0 && Atomics.load(shared, versionWord) === version) return version;
  }
}
