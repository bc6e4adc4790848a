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
 * A worker alone does all of it for one read after the other (`batch`). Where there are several (turns.ts), the leader
 * receives (`take`), they open side by side, and all else waits for its turn (`finish`).
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
import { EndpointRecord, isEndpoint, isLoopback, writeEndpoint } from "./endpoint-record.ts";
import { selectNext } from "./keypair-table.ts";
import { Mac1Door } from "./mac1-door.ts";
import { aeadLead, aeadTail, type PacketAead } from "./packet-aead.ts";
import { Control, KeypairRecord, PeerRecord, type SharedMemory } from "./shared-memory.ts";
import type { SingleWriter } from "./single-writer.ts";
import type { Turns } from "./turns.ts";

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
/** Where there are several workers: how many reads one of them takes, and how many bytes are enough for it. */
export const readsPerTake = 8;
const bytesPerTake = 32_768;
const datagramsPerRead = 64; // the kernel joins no more (UDP_GRO_CNT_MAX)
/** What is noted of a message, as words: where its text was opened to, its own length, its read, the keypair's record. */
const Note = { size: 4, text: 0, length: 1, read: 2, keypair: 3 } as const;
const noKeypair = -1; // that of what is no data message
const askAgainAfterMs = 1000;

export interface InboundOptions {
  readonly memory: SharedMemory;
  readonly arena: Arena;
  /** One; for `take` there are `readsPerTake`. */
  readonly readers: readonly DatagramReader[];
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
  /** Offset of room for one opened packet, with the cipher's lead before it and tail behind; for `take` of `takeRoom` bytes. */
  readonly opened: number;
  /** See `OutboundOptions.clock`. */
  readonly clock: Float64Array;
  /** Which of the direction's workers this is; 0 unless said otherwise. */
  readonly number?: number;
  readonly turns?: Turns | undefined;
}

/** Bytes for what one worker of several opens in one turn. */
export const takeRoom: number = bytesPerTake + 65_536 + readsPerTake * datagramsPerRead * (aeadLead + aeadTail + 15);

const holdsAll = endpointHolds.indexOf("all");

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
  /** That of the message in hand. */
  #reader: DatagramReader;
  /** What `take` has received, and what was opened of it: words as `Note` says. */
  #taken = 0;
  #takenBytes = 0;
  readonly #notes = new Int32Array(readsPerTake * datagramsPerRead * Note.size);
  readonly #counters = new Float64Array(readsPerTake * datagramsPerRead);
  #noted = 0;
  /** Where the next message is opened to. */
  #text = 0;
  /** What `#sort` has found, and `#open`: the number and the keypair's record. */
  #isData = false;
  readonly #counter = new Float64Array(1);
  #keypair = noKeypair;
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
    this.#drops = options.memory.dropRow("inbound", options.number);
    this.#reader = options.readers[0];
    this.#mac1 = new Mac1Door(options.memory, this.#bytes);
  }

  /** Handles what a socket holds. True if there may be more. After a wake-up what came first is written at once. */
  batch(fd: number, isWoken = false): boolean {
    let more = true;
    this.#roamed = -1;
    for (let i = 0; i < batchesPerTurn && more; i++) {
      const outcome = this.#read(this.#reader, fd);
      if (outcome === 0) more = false;
      else if (outcome > 0) {
        this.#located = -1;
        this.#datagrams(this.#reader, 0);
        if (isWoken && i === 0) this.#write(); // mostly it is all
      }
    }
    this.#settle();
    return more;
  }

  /** The leader: receives what a socket holds, as far as there is room. True if there may be more. Then `finish`. */
  take(fd: number): boolean {
    const { readers } = this.#options;
    for (let i = 0; i < batchesPerTurn && this.#taken < readers.length && this.#takenBytes < bytesPerTake; i++) {
      const reader = readers[this.#taken];
      const outcome = this.#read(reader, fd);
      if (outcome === 0) return false;
      if (outcome < 0) continue;
      this.#takenBytes += reader.length;
      this.#taken++;
    }
    return true;
  }

  /** Whether `take` has received nothing. */
  get isEmpty(): boolean {
    return this.#taken === 0;
  }

  /** Opens what was taken, and in its turn does all the rest. */
  finish(): void {
    const { readers, turns, opened } = this.#options;
    this.#noted = 0;
    this.#text = opened;
    for (let i = 0; i < this.#taken; i++) this.#datagrams(readers[i], i);
    if (turns?.take() !== false) {
      this.#roamed = -1;
      let read = -1;
      for (let note = 0; note < this.#noted * Note.size; note += Note.size) {
        const notes = this.#notes;
        if (notes[note + Note.read] !== read) {
          read = notes[note + Note.read];
          this.#reader = readers[read];
          this.#located = -1;
        }
        const text = notes[note + Note.text];
        const length = notes[note + Note.length];
        const keypair = notes[note + Note.keypair];
        this.#counter[0] = this.#counters[note / Note.size];
        const reason = keypair === noKeypair ? this.#handshake(text, length) : this.#accept(length, keypair, text);
        if (reason !== undefined) this.#drop(reason);
      }
      this.#settle();
    }
    this.#taken = 0;
    this.#takenBytes = 0;
  }

  /** Step 1: 1 with the reader filled, 0 if there is nothing, -1 if what came was of no use. */
  #read(reader: DatagramReader, fd: number): number {
    this.calls++;
    const outcome = reader.read(fd);
    if (outcome < 0) this.#drop("message-truncated");
    if (outcome <= 0 || reader.length > 0) return outcome;
    this.#drop("message-too-short");
    return -1;
  }

  /** Writes what is coalesced, and tells main what there is to tell. */
  #settle(): void {
    this.#write();
    if (this.#posted) this.#memory.wakeMain();
    this.#posted = false;
  }

  /** What came with one read; `read` says with which. */
  #datagrams(reader: DatagramReader, read: number): void {
    const end = reader.data + reader.length;
    const isAlone = this.#options.turns === undefined;
    for (let at = reader.data; at < end; at += reader.datagramLength) {
      const length = Math.min(reader.datagramLength, end - at);
      const reason = isAlone ? this.#message(at, length) : this.#note(at, length, read);
      if (reason !== undefined) this.#drop(reason);
    }
  }

  /** Steps 2 to 8 for a message. */
  #message(at: number, length: number): DropReason | undefined {
    const { opened } = this.#options;
    const reason = this.#sort(at, length);
    if (reason !== undefined) return reason;
    if (!this.#isData) return this.#handshake(at, length);
    return this.#open(at, length, opened) ?? this.#accept(length, this.#keypair, opened);
  }

  /** Steps 2 to 4 for a message; the rest is for its turn. */
  #note(at: number, length: number, read: number): DropReason | undefined {
    const notes = this.#notes;
    const note = this.#noted * Note.size;
    if (note === notes.length) return "message-truncated"; // more than the kernel may have joined
    let reason = this.#sort(at, length);
    if (reason !== undefined) return reason;
    const text = this.#text + aeadLead;
    this.#keypair = noKeypair;
    if (this.#isData) reason = this.#open(at, length, text);
    else this.#bytes.copyWithin(text, at, at + length); // opening the next one would overwrite its end
    if (reason !== undefined) return reason;
    this.#text = (text + length + aeadTail + 15) & -16;
    notes[note + Note.length] = length;
    notes[note + Note.read] = read;
    notes[note + Note.keypair] = this.#keypair;
    notes[note + Note.text] = text;
    this.#counters[this.#noted++] = this.#counter[0];
    return undefined;
  }

  /** Step 2: whether it is data, or a handshake message. */
  #sort(at: number, length: number): DropReason | undefined {
    if (length < 4) return "message-too-short";
    const bytes = this.#bytes;
    // The type is one byte and three reserved zeros (whitepaper §5.4). Read bytewise: a datagram of odd length leaves
    // the one behind it unaligned.
    const type = (bytes[at + 1] | bytes[at + 2] | bytes[at + 3]) === 0 ? bytes[at] : 0;
    this.#isData = type === dataType;
    if (this.#isData) return length < smallestData ? "message-wrong-length" : undefined;
    const wanted = type === 1 ? Initiation.size : type === 2 ? Response.size : type === 3 ? CookieReply.size : 0;
    if (wanted === 0) return "message-unknown-type";
    return length === wanted ? undefined : "message-wrong-length";
  }

  /** Step 2: main answers handshakes. */
  #handshake(at: number, length: number): DropReason | undefined {
    const reader = this.#reader;
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

  /** Steps 3 and 4: opens a data message to `text`, where there is room for it; `#keypair` is then the record. */
  #open(at: number, length: number, text: number): DropReason | undefined {
    const { aead, clock } = this.#options;
    const { floats } = this.#memory;
    const keypair = this.#memory.findKeypair(this.#word(at + 4));
    if (keypair < 0) return "index-unknown";
    if (clock[0] >= floats[(keypair + KeypairRecord.rejectAt) >> 3]) return "keypair-expired";
    const low = this.#word(at + 8);
    const high = this.#word(at + 12);
    const counter = (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
    if (counter >= RejectAfterMessages) return "counter-too-large";
    this.#counter[0] = counter; // opening overwrites the header
    const key = keypair + KeypairRecord.receiveKey;
    if (!aead.open(key, low, high, at + headerLength, text, length - smallestData)) return "message-undecryptable";
    this.#keypair = keypair;
    return undefined;
  }

  /** Steps 5 to 8 for a data message that was opened to `text`, numbered `#counter`. */
  #accept(length: number, keypair: number, text: number): DropReason | undefined {
    const { words } = this.#memory;
    if (!acceptCounter(words, this.#memory.replayWindow(keypair), this.#counter[0])) return "message-replayed";
    const id = words[(keypair + KeypairRecord.peer) >> 2];
    const padded = length - smallestData;
    this.#touch(id, keypair, length, padded > 0);
    return padded === 0 ? undefined : this.#deliver(id, padded, text);
  }

  /** Step 6: what an authenticated message tells. */
  #touch(id: number, keypair: number, length: number, isData: boolean): void {
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
      if (!isEndpoint(this.#memory.words, peer, this.#words, this.#reader.sender >> 2)) this.#roam(id, peer);
      this.#located = peer;
    }
    if (now < floats[(keypair + KeypairRecord.rekeyReceivingAt) >> 3]) return;
    if (now - floats[(keypair + KeypairRecord.inboundAskedAt) >> 3] < askAgainAfterMs || ring.reserve(0) < 0) return;
    ring.commit(FromInbound.freshen, id, this.#memory.generation(id));
    floats[(keypair + KeypairRecord.inboundAskedAt) >> 3] = now;
    this.#posted = true;
  }

  /** Moves the endpoint, since the answer may be faster than main, and tells main. */
  #roam(id: number, peer: number): void {
    const reader = this.#reader;
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
  #deliver(id: number, padded: number, opened: number): DropReason | undefined {
    const { allowedIps, coalescer } = this.#options;
    const { ecn } = this.#reader;
    const length = innerPacketLength(this.#bytes, opened, padded);
    if (length < 0) return "packet-malformed";
    const isIpv4 = this.#bytes[opened] >> 4 === 4;
    const owner = isIpv4
      ? allowedIps.lookup(this.#bytes, opened + 12, 4)
      : allowedIps.lookup(this.#bytes, opened + 8, 6);
    if (owner !== id) return "packet-wrong-source";
    if (ecn !== 0 && !mergeEcn(this.#bytes, opened, ecn)) return "packet-not-ecn-capable";
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
