/**
 * From the network to the TUN device.
 *
 *     1. receive    up to 64 datagrams of one sender with one call
 *     2. sort       handshake messages with a right mac1 go to main, through a ring that drops when full
 *     3. find       the receiver index names the keypair
 *     4. open       the message; what is not authentic ends here
 *     5. replay     each counter once (RFC 6479)
 *     6. note       the sender's endpoint, the peer's first message, activity
 *     7. check      the packet's own length, and that its source address is routed to this very peer; take over ECN
 *     8. coalesce   in-order packets of a flow into one super-packet
 *     9. write      it to the device
 *
 * Hot path.
 */
import { type DropReason, dropReasons } from "../base/errors.ts";
import type { Arena } from "../os/arena.ts";
import { errno, libc } from "../os/libc.ts";
import type { Coalescer } from "../packet/coalescing.ts";
import { mergeEcn } from "../packet/congestion-mark.ts";
import { clampMss } from "../packet/mss-clamp.ts";
import type { AllowedIps } from "../wireguard/allowed-ips.ts";
import { RejectAfterMessages } from "../wireguard/constants.ts";
import { endpointHolds } from "../wireguard/endpoint-hold.ts";
import { innerPacketLength } from "../wireguard/inner-packet.ts";
import { CookieReply, Initiation, Response } from "../wireguard/messages.ts";
import { acceptCounter } from "../wireguard/replay-window.ts";
import type { DatagramReader } from "./datagram-reader.ts";
import { EndpointRecord, writeEndpoint } from "./endpoint-record.ts";
import { selectNext } from "./keypair-table.ts";
import { Mac1Door } from "./mac1-door.ts";
import type { PacketAead } from "./packet-aead.ts";
import { Control, KeypairRecord, PeerRecord, type SharedMemory } from "./shared-memory.ts";
import type { SingleWriter } from "./single-writer.ts";

/**
 * Kinds of records from this worker to main: `first` is the peer's id and `second` its generation, for `confirm` the
 * local index alone. `roam` carries the new endpoint.
 */
export const FromInbound = { confirm: 1, roam: 2, freshen: 3 } as const;
/** A handshake record begins with the sender's endpoint, in this many bytes. */
export const senderRoom = 56;

const dataType = 4;
/** A data message is at least a header and a tag: a keepalive. */
const smallestData = 32;
const headerLength = 16;
const batchesPerTurn = 32;
const askAgainAfterMs = 1000;
const AF_INET = 2;
const AF_INET6 = 10;

export interface InboundOptions {
  readonly memory: SharedMemory;
  readonly arena: Arena;
  readonly reader: DatagramReader;
  readonly aead: PacketAead;
  readonly allowedIps: AllowedIps;
  readonly coalescer: Coalescer;
  /** For super-packets that the device does not take. */
  readonly singles: SingleWriter;
  readonly tun: number;
  /** See `OutboundOptions.headerless`. */
  readonly headerless: number;
  /** Offset of the 10 bytes of virtio header before the coalescer's packet. */
  readonly superPacket: number;
  /** Offset of room for one opened packet, with the cipher's lead before it and tail behind. */
  readonly opened: number;
  /** See `OutboundOptions.clock`. */
  readonly clock: Float64Array;
}

const holdsAll = endpointHolds.indexOf("all");

/** Whether a sender is of 127.0.0.0/8, where streams hand over what they carried. */
function isLoopback(words: Int32Array, sender: number): boolean {
  return (words[sender + 1] & 0xffff) === AF_INET && (words[sender + 2] & 0xff) === 127;
}

export class Inbound {
  /** Packets written or merged, and system calls made. */
  received: number = 0;
  calls: number = 0;
  readonly #options: InboundOptions;
  readonly #memory: SharedMemory;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #drops: number;
  readonly #mac1: Mac1Door;
  #posted = false;
  /** The peer that main was last told of in this batch: the next message, too, comes from where main will look. */
  #roamed = -1;
  /** The peer whose endpoint was compared with the sender of what was read last: one read is of one sender. */
  #located = -1;

  constructor(options: InboundOptions) {
    this.#options = options;
    this.#memory = options.memory;
    this.#words = new Int32Array(options.arena.buffer);
    this.#bytes = new Uint8Array(options.arena.buffer);
    this.#drops = options.memory.dropRow("inbound");
    this.#mac1 = new Mac1Door(options.memory, this.#bytes);
  }

  /** Handles what a socket holds. True if there may be more. */
  batch(fd: number): boolean {
    const reader = this.#options.reader;
    let more = true;
    this.#roamed = -1;
    for (let i = 0; i < batchesPerTurn; i++) {
      this.calls++;
      const outcome = reader.read(fd);
      if (outcome === 0) {
        more = false;
        break;
      }
      this.#located = -1;
      if (outcome < 0) this.#drop("message-truncated");
      else this.#datagrams();
    }
    this.#write();
    if (this.#posted) {
      this.#posted = false;
      this.#memory.wakeMain();
    }
    return more;
  }

  #datagrams(): void {
    const reader = this.#options.reader;
    const end = reader.data + reader.length;
    if (reader.length === 0) {
      this.#drop("message-too-short");
      return;
    }
    for (let at = reader.data; at < end; at += reader.datagramLength) {
      const length = Math.min(reader.datagramLength, end - at);
      const reason = this.#message(at, length);
      if (reason !== undefined) this.#drop(reason);
    }
  }

  #message(at: number, length: number): DropReason | undefined {
    if (length < 4) return "message-too-short";
    const bytes = this.#bytes;
    // The type is one byte and three reserved zeros (whitepaper §5.4). Read bytewise: a datagram of odd length leaves
    // the one behind it unaligned.
    const type = (bytes[at + 1] | bytes[at + 2] | bytes[at + 3]) === 0 ? bytes[at] : 0;
    if (type === dataType) return length < smallestData ? "message-wrong-length" : this.#data(at, length);
    const wanted = type === 1 ? Initiation.size : type === 2 ? Response.size : type === 3 ? CookieReply.size : 0;
    if (wanted === 0) return "message-unknown-type";
    return length === wanted ? this.#handshake(at, length) : "message-wrong-length";
  }

  /** Step 2: main answers handshakes. */
  #handshake(at: number, length: number): DropReason | undefined {
    const reader = this.#options.reader;
    // A cookie reply has none.
    if (length !== CookieReply.size && !this.#mac1.admits(at, length)) return "mac1-invalid";
    const ring = this.#memory.handshakes;
    const payload = ring.reserve(senderRoom + length);
    if (payload < 0) return "handshake-queue-full";
    this.#memory.bytes.set(this.#bytes.subarray(reader.sender, reader.sender + EndpointRecord.size), payload);
    this.#memory.bytes.set(this.#bytes.subarray(at, at + length), payload + senderRoom);
    ring.commit(1, 0, 0);
    this.#posted = true;
    return undefined;
  }

  /** Steps 3 to 8 for a data message. */
  #data(at: number, length: number): DropReason | undefined {
    const { aead, opened, clock } = this.#options;
    const { floats, words } = this.#memory;
    const keypair = this.#memory.findKeypair(this.#word(at + 4));
    if (keypair < 0) return "index-unknown";
    if (clock[0] >= floats[(keypair + KeypairRecord.rejectAt) >> 3]) return "keypair-expired";
    const low = this.#word(at + 8);
    const high = this.#word(at + 12);
    const counter = (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
    if (counter >= RejectAfterMessages) return "counter-too-large";
    const padded = length - smallestData;
    const key = keypair + KeypairRecord.receiveKey;
    if (!aead.open(key, low, high, at + headerLength, opened, padded)) return "message-undecryptable";
    if (!acceptCounter(words, (keypair + KeypairRecord.replayWindow) >> 2, counter)) return "message-replayed";
    const id = words[(keypair + KeypairRecord.peer) >> 2];
    this.#note(id, keypair, length, padded > 0);
    return padded === 0 ? undefined : this.#deliver(id, padded);
  }

  /** Step 6: what an authenticated message tells. */
  #note(id: number, keypair: number, length: number, isData: boolean): void {
    const { floats, words, inboundToMain: ring } = this.#memory;
    const peer = this.#memory.peer(id);
    const now = this.#options.clock[0];
    floats[(peer + PeerRecord.receivedAt) >> 3] = now;
    floats[(peer + PeerRecord.unansweredSince) >> 3] = 0;
    floats[(peer + PeerRecord.receivedBytes) >> 3] += length;
    if (isData && floats[(peer + PeerRecord.unacknowledgedSince) >> 3] === 0) {
      floats[(peer + PeerRecord.unacknowledgedSince) >> 3] = now;
    }
    if (words[(keypair + KeypairRecord.confirmed) >> 2] === 0 && ring.reserve(0) >= 0) {
      selectNext(this.#memory, peer, keypair); // before main hears of it
      ring.commit(FromInbound.confirm, words[(keypair + KeypairRecord.localIndex) >> 2], 0);
      words[(keypair + KeypairRecord.confirmed) >> 2] = 1;
      this.#posted = true;
    }
    if (peer !== this.#located) {
      if (!this.#isFrom(peer)) this.#roam(id, peer);
      this.#located = peer;
    }
    if (now < floats[(keypair + KeypairRecord.rekeyReceivingAt) >> 3]) return;
    if (now - floats[(keypair + KeypairRecord.inboundAskedAt) >> 3] < askAgainAfterMs || ring.reserve(0) < 0) return;
    ring.commit(FromInbound.freshen, id, this.#memory.generation(id));
    floats[(keypair + KeypairRecord.inboundAskedAt) >> 3] = now;
    this.#posted = true;
  }

  /** Whether the datagram came from the endpoint that the peer is known by, to the same address of ours. Flow labels do not count. */
  #isFrom(peer: number): boolean {
    const words = this.#memory.words;
    const known = (peer + PeerRecord.endpointLength) >> 2;
    const sender = this.#options.reader.sender >> 2;
    const isIpv6 = (this.#words[sender + 1] & 0xffff) === AF_INET6;
    if (words[known + 1] !== this.#words[sender + 1]) return false;
    if (!isIpv6 && words[known + 2] !== this.#words[sender + 2]) return false;
    for (let i = 3; isIpv6 && i < 8; i++) if (words[known + i] !== this.#words[sender + i]) return false;
    const end = isIpv6 ? 13 : 10;
    for (let i = 8; i < end; i++) if (words[known + i] !== this.#words[sender + i]) return false;
    return true;
  }

  /** Moves the endpoint, since the answer may be faster than main, and tells main. */
  #roam(id: number, peer: number): void {
    const reader = this.#options.reader;
    const hold = Atomics.load(this.#memory.words, (peer + PeerRecord.hold) >> 2);
    if (hold === holdsAll || (hold !== 0 && isLoopback(this.#words, reader.sender >> 2))) return;
    writeEndpoint(this.#memory.words, peer, this.#words, reader.sender >> 2);
    const ring = this.#memory.inboundToMain;
    if (id === this.#roamed) return;
    const payload = ring.reserve(EndpointRecord.size);
    if (payload < 0) return; // told again with the next message
    this.#roamed = id;
    this.#memory.bytes.set(this.#bytes.subarray(reader.sender, reader.sender + EndpointRecord.size), payload);
    ring.commit(FromInbound.roam, id, this.#memory.generation(id));
    this.#posted = true;
  }

  /** Steps 7 and 8 for the opened packet. */
  #deliver(id: number, padded: number): DropReason | undefined {
    const { allowedIps, coalescer, opened, reader } = this.#options;
    const length = innerPacketLength(this.#bytes, opened, padded);
    if (length < 0) return "packet-malformed";
    const isIpv4 = this.#bytes[opened] >> 4 === 4;
    const owner = isIpv4
      ? allowedIps.lookup(this.#bytes, opened + 12, 4)
      : allowedIps.lookup(this.#bytes, opened + 8, 6);
    if (owner !== id) return "packet-wrong-source";
    if (reader.ecn !== 0 && !mergeEcn(this.#bytes, opened, reader.ecn)) return "packet-not-ecn-capable";
    const { words } = this.#memory;
    if (words[Control.clampMss] === 1) clampMss(this.#bytes, opened, length, words[Control.mtu]);
    this.received++;
    if (coalescer.add(opened, length)) return undefined;
    this.#write();
    coalescer.add(opened, length);
    return undefined;
  }

  /** Step 9. */
  #write(): void {
    const { coalescer, arena, tun, headerless, superPacket } = this.#options;
    const length = coalescer.finish() - headerless;
    if (length <= 0) return;
    this.calls++;
    if (libc.write(tun, arena.base + superPacket + headerless, length) < 0) this.#refused(length);
  }

  #refused(length: number): void {
    const { singles, superPacket } = this.#options;
    const lost = singles.write(superPacket, length, errno());
    for (let i = 0; i < lost; i++) this.#drop("tun-write-failed");
  }

  #word(at: number): number {
    const bytes = this.#bytes;
    return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  }

  #drop(reason: DropReason): void {
    this.#memory.floats[this.#drops + dropReasons.indexOf(reason)]++;
  }
}
