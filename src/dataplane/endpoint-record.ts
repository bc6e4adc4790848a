/**
 * Where a peer is, as two threads write it and one reads it without a lock: a sequence lock (kernel
 * Documentation/locking/seqlock.rst). The version is odd while somebody writes; a reader that meets that, or a version
 * that has changed meanwhile, reads again. Main writes what is configured and what handshakes tell; the inbound worker
 * writes where the last message came from, before it hands the packet over, so that its answer finds the way.
 *
 * Atomics throughout: on arm64 plain accesses may pass those that keep the version. Hot path.
 */
import { Endpoint, IpAddress } from "../base/address.ts";
import { AF_INET, AF_INET6, decodeSockaddr, sockaddrOf } from "../os/sockaddr.ts";
import { PeerRecord } from "./shared-memory.ts";

/**
 * An endpoint, in a peer's record and outside: 32-bit words, and in them the bytes of a socket address and of an IP
 * address, padded with zeros. `localDevice` is 0 where it does not matter which of our addresses is used.
 */
export const EndpointRecord = {
  size: 52,
  /** Bytes of the socket address: 16 or 28; 0 for no endpoint. */
  length: 0,
  name: 4,
  localDevice: 32,
  localAddress: 36,
} as const;

/** Words that an endpoint takes. */
export const endpointWords: number = EndpointRecord.size / 4;

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

/**
 * The inbound workers: whether a peer is known by the endpoint at `at`, and by the same address of ours. Flow labels do not
 * count. What main is just writing may be found different: then it is written again.
 */
export function isEndpoint(shared: Int32Array, peer: number, from: Int32Array, at: number): boolean {
  const known = (peer + PeerRecord.endpointLength) >> 2;
  const isIpv6 = (from[at + 1] & 0xffff) === AF_INET6;
  if (shared[known + 1] !== from[at + 1]) return false;
  if (!isIpv6 && shared[known + 2] !== from[at + 2]) return false;
  for (let i = 3; isIpv6 && i < 8; i++) if (shared[known + i] !== from[at + i]) return false;
  const end = isIpv6 ? 13 : 10;
  for (let i = 8; i < end; i++) if (shared[known + i] !== from[at + i]) return false;
  return true;
}

/** Whether the endpoint at `at` is of 127.0.0.0/8, where streams hand over what they carried. */
export function isLoopback(words: Int32Array, at: number): boolean {
  return (words[at + 1] & 0xffff) === AF_INET && (words[at + 2] & 0xff) === 127;
}

/** Main: an endpoint as workers have it. */
export function encodeEndpoint(endpoint: Endpoint): Uint8Array {
  const record = new Uint8Array(EndpointRecord.size);
  const name = sockaddrOf(endpoint);
  record[EndpointRecord.length] = name.length;
  record.set(name, EndpointRecord.name);
  const { local } = endpoint;
  if (local === undefined) return record;
  new DataView(record.buffer).setInt32(EndpointRecord.localDevice, local.device, true);
  record.set(local.address.bytes, EndpointRecord.localAddress);
  return record;
}

/** Main: what a worker has; undefined where it is none. */
export function decodeEndpoint(record: Uint8Array): Endpoint | undefined {
  const remote = decodeSockaddr(record, EndpointRecord.name);
  if (remote === undefined) return undefined;
  const device = new DataView(record.buffer, record.byteOffset).getInt32(EndpointRecord.localDevice, true);
  if (device === 0) return remote;
  const end = EndpointRecord.localAddress + remote.address.bytes.length;
  const address = new IpAddress(record.subarray(EndpointRecord.localAddress, end));
  return new Endpoint(remote.address, remote.port, remote.scope, { address, device });
}
