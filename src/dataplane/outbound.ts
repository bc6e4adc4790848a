/**
 * From the TUN device to the network.
 *
 *     1. read       one packet or super-packet, behind its virtio header
 *     2. check      every field of that header and the packet's own against the length read
 *     3. route      the destination's allowed-IPs entry names the peer
 *     4. number     the next nonces of the peer's keypair, one for each packet that it makes
 *     5. segment    into packets of the MTU's size, as many as there are slots
 *     6. seal       in place
 *     7. transmit   up to 64 messages to one endpoint with one call
 *
 * A worker alone does all of it for one read after the other (`batch`). Where there are several (turns.ts), the leader does
 * steps 1 to 4 for a few reads (`take`), and the rest beside the others (`finish`), up to step 7, which waits for its turn.
 *
 * A packet for a peer without a usable keypair goes to main, which stages it and sees to a handshake; main sends it
 * back here to be sealed, as it does with keepalives.
 *
 * Hot path.
 */
import { type DropReason, dropReasons } from "../base/errors.ts";
import type { Arena } from "../os/arena.ts";
import { errno, libc } from "../os/libc.ts";
import { Errno } from "../os/system-error.ts";
import { Ecn, readEcn } from "../packet/congestion-mark.ts";
import type { Kernels } from "../packet/kernels.ts";
import { clampMss } from "../packet/mss-clamp.ts";
import type { Segmenter } from "../packet/segmentation.ts";
import { VirtioHeader } from "../packet/virtio-header.ts";
import type { AllowedIps } from "../wireguard/allowed-ips.ts";
import { PaddingMultiple, RejectAfterMessages } from "../wireguard/constants.ts";
import { type DatagramBatch, messageOverhead } from "./datagram-batch.ts";
import type { PacketAead } from "./packet-aead.ts";
import { FromOutbound, SendingSessions } from "./sending-sessions.ts";
import { Control, KeypairRecord, type SharedMemory } from "./shared-memory.ts";

/** Records from main to this worker: likewise, and the payload is a packet; empty, it is a keepalive. */
export const ToOutbound = { seal: 1 } as const;

/** Bytes that one read may bring: the virtio header and the largest packet there is (RFC 8200 §3). */
export const readLength: number = VirtioHeader.size + 40 + 65_535;

/** How many reads make a batch before commands and the epoch are looked at again. */
const readsPerBatch = 32;
/** Where there are several workers: how many reads one of them takes, and how many packets are enough for it. */
const readsPerTake = 64;
const packetsPerTake = 40;
/** Bytes that a worker reads into, and that one of several does: a few packets, the last of which may be the largest. */
export const readRoom: number = readLength + 16;
export const takeRoom: number = 2 * readRoom;
/** What is noted of a read: where it lies, its length, the peer's record and the keypair's. */
const Note = { size: 4, at: 0, length: 1, peer: 2, keypair: 3 } as const;

export interface OutboundOptions {
  readonly memory: SharedMemory;
  readonly arena: Arena;
  readonly kernels: Kernels;
  readonly segmenter: Segmenter;
  readonly aead: PacketAead;
  readonly allowedIps: AllowedIps;
  readonly batch: DatagramBatch;
  readonly tun: number;
  /** Bytes of virtio header that the device leaves out: 0, or all where it has none. Then zeros stand in their place. */
  readonly headerless: number;
  /** Offset of `readRoom` bytes, or `takeRoom` for `take`, whose packet (10 bytes on) is 16-byte aligned. */
  readonly buffer: number;
  /** Which of the direction's workers this is; 0 unless said otherwise. */
  readonly number?: number;
  /** The time of this batch, in element 0: ms of CLOCK_BOOTTIME. An array, since a number passed along is allocated. */
  readonly clock: Float64Array;
}

export class Outbound {
  /** The errno with which the device refused to be read, as it does once it is deleted. 0 while it works. */
  deviceGone: number = 0;
  /** Calls made to the device. */
  calls: number = 0;
  readonly #memory: SharedMemory;
  readonly #options: OutboundOptions;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #drops: number;
  readonly #sessions: SendingSessions;
  /** The nonce of the next message to be sealed, in element 0. */
  readonly #nonce = new Float64Array(1);
  /** What `take` has noted: words as `Note` says, and the first nonce of each. */
  readonly #notes = new Int32Array(readsPerTake * Note.size);
  readonly #nonces = new Float64Array(readsPerTake);
  #noted = 0;
  /** Where the packet that is being handled was read to. */
  #at = 0;
  #posted = false;

  constructor(options: OutboundOptions) {
    this.#options = options;
    this.#memory = options.memory;
    this.#words = new Int32Array(options.arena.buffer);
    this.#bytes = new Uint8Array(options.arena.buffer);
    this.#sessions = new SendingSessions(options.memory, options.clock);
    this.#drops = options.memory.dropRow("outbound", options.number);
  }

  /**
   * Handles what is there: main's requests, then packets of the device. True if there may be more. After a wake-up
   * (`isWoken`) the first packet is sent at once: mostly it is alone, and to ask whether it is takes time.
   */
  batch(isWoken = false): boolean {
    this.#requests();
    const { buffer } = this.#options;
    let more = true;
    for (let i = 0; i < readsPerBatch && more; i++) {
      const length = this.#read(buffer);
      if (length < 0) more = false;
      else if (length > 0) this.#packet(buffer, length);
      if (isWoken && i === 0) this.#options.batch.flush();
    }
    this.#settle();
    return more;
  }

  /**
   * The leader: seals main's requests, and takes a few reads off the device, numbered. True if there may be more; then,
   * or if `isEmpty` is false, `finish` is to follow.
   */
  take(): boolean {
    this.#requests();
    const { buffer } = this.#options;
    let at = buffer;
    let packets = 0;
    this.#noted = 0;
    let more = true;
    const end = buffer + takeRoom - readRoom;
    for (let i = 0; i < readsPerTake && packets < packetsPerTake && at < end; i++) {
      const length = this.#read(at);
      if (length < 0) {
        more = false;
        break;
      }
      if (length === 0) continue;
      const count = this.#note(at, length);
      packets += count;
      if (count > 0) at = ((at + length + 15) & -16) + 16 - VirtioHeader.size; // `buffer` is 6 past a multiple of 16
    }
    if (this.#posted) this.#post();
    return more;
  }

  /** Whether `take` has found nothing to be sent. */
  get isEmpty(): boolean {
    return this.#noted === 0 && this.#options.batch.isEmpty;
  }

  /** Seals and sends what was taken. */
  finish(): void {
    const { segmenter } = this.#options;
    const notes = this.#notes;
    for (let i = 0; i < this.#noted; i++) {
      const note = i * Note.size;
      this.#at = notes[note + Note.at];
      segmenter.begin(this.#at, notes[note + Note.length]); // it was right before
      this.#nonce[0] = this.#nonces[i];
      this.#sealSegments(notes[note + Note.peer], notes[note + Note.keypair]);
    }
    this.#noted = 0;
    this.#settle();
  }

  /** Step 1: the bytes read to `at`, the virtio header included; 0 if it was of no use, -1 if there is nothing. */
  #read(at: number): number {
    const { arena, tun, headerless } = this.#options;
    this.calls++;
    const length = libc.read(tun, arena.base + at + headerless, readLength - headerless);
    if (length >= 0) return length + headerless;
    const error = errno();
    if (error === Errno.EINTR) return 0;
    if (error === Errno.EINVAL) {
      this.#drop("offload-malformed", 1); // a packet of a kind that the virtio header has no name for
      return 0;
    }
    if (error !== Errno.EAGAIN) this.deviceGone = error;
    return -1;
  }

  /** Sends what is sealed, and tells main what there is to tell. */
  #settle(): void {
    const { batch } = this.#options;
    batch.flush();
    if (batch.refused > 0) {
      this.#drop("send-failed", batch.refused);
      batch.refused = 0;
    }
    if (this.#posted) this.#post();
  }

  #post(): void {
    this.#posted = false;
    this.#memory.wakeMain();
  }

  /** Steps 2 to 6 for what was read. */
  #packet(at: number, length: number): void {
    const id = this.#route(at, length);
    if (id < 0) return;
    const peer = this.#memory.peer(id);
    const keypair = this.#sessions.keypair(peer);
    if (keypair < 0) this.#stage(id);
    else {
      this.#number(id, peer, keypair);
      this.#sealSegments(peer, keypair);
    }
  }

  /** Steps 2 to 4 for what was read; the rest is for `finish`. How many packets it makes, 0 where nothing is to follow. */
  #note(at: number, length: number): number {
    const id = this.#route(at, length);
    if (id < 0) return 0;
    const peer = this.#memory.peer(id);
    const keypair = this.#sessions.keypair(peer);
    if (keypair < 0) {
      this.#stage(id);
      return 0;
    }
    this.#number(id, peer, keypair);
    const note = this.#noted * Note.size;
    this.#notes[note + Note.at] = at;
    this.#notes[note + Note.length] = length;
    this.#notes[note + Note.peer] = peer;
    this.#notes[note + Note.keypair] = keypair;
    this.#nonces[this.#noted++] = this.#nonce[0];
    return this.#options.segmenter.count;
  }

  /** Steps 2 and 3: begins the packet at `at`. The peer's id, or -1 if there is none or the packet is malformed. */
  #route(at: number, length: number): number {
    const { segmenter, allowedIps } = this.#options;
    this.#at = at;
    const reason = segmenter.begin(at, length);
    if (reason !== undefined) {
      this.#drop(reason, 1);
      return -1;
    }
    const packet = at + VirtioHeader.size;
    const isIpv4 = this.#bytes[packet] >> 4 === 4;
    const id = isIpv4 ? allowedIps.lookup(this.#bytes, packet + 16, 4) : allowedIps.lookup(this.#bytes, packet + 24, 6);
    if (id < 0) this.#drop("packet-no-peer", segmenter.count);
    return id;
  }

  /** Step 4 for the packet that was begun: exactly as many nonces as it makes messages, and what goes with sending. */
  #number(id: number, peer: number, keypair: number): void {
    const { segmenter } = this.#options;
    const { count, packetLength, lastLength } = segmenter;
    this.#nonce[0] = this.#sessions.takeNonces(keypair, count);
    const bytes = (count - 1) * this.#padded(packetLength) + this.#padded(lastLength) + count * messageOverhead;
    this.#sessions.noteData(peer, bytes);
    if (this.#sessions.freshen(id, keypair)) this.#posted = true;
  }

  #sealSegments(peer: number, keypair: number): void {
    const { segmenter, batch } = this.#options;
    const full = this.#padded(segmenter.packetLength);
    const ecn = readEcn(this.#bytes, this.#at + VirtioHeader.size);
    while (segmenter.remaining > 0) {
      const room = batch.open(peer, full, ecn);
      if (room === 0) {
        this.#drop("peer-no-endpoint", segmenter.remaining);
        return;
      }
      const count = segmenter.next(batch.text, batch.stride, room);
      if (segmenter.count === 1) this.#clamp(segmenter.lastLength); // no SYN comes in a super-packet
      for (let i = 0; i < count; i++) {
        const wasLast = segmenter.remaining === 0 && i === count - 1;
        this.#seal(keypair, wasLast ? this.#padded(segmenter.lastLength) : full);
      }
    }
  }

  /** Lowers the MSS that a SYN at the batch's `text` announces. */
  #clamp(length: number): void {
    const { words } = this.#memory;
    if (words[Control.clampMss] === 1) clampMss(this.#bytes, this.#options.batch.text, length, words[Control.mtu]);
  }

  /** Seals and heads the message whose padded text lies at the batch's `text`, with the next of the nonces taken. */
  #seal(keypair: number, padded: number): void {
    const { aead, batch } = this.#options;
    const counter = this.#nonce[0];
    if (counter >= RejectAfterMessages) {
      this.#drop("keypair-expired", 1);
      return;
    }
    this.#nonce[0] = counter + 1;
    const low = counter | 0;
    const high = (counter / 0x1_0000_0000) | 0;
    const text = batch.text;
    aead.seal(keypair + KeypairRecord.sendKey, low, high, text, padded);
    const header = (text - 16) >> 2;
    this.#words[header] = 4; // type, and three reserved zeros
    this.#words[header + 1] = this.#memory.words[(keypair + KeypairRecord.remoteIndex) >> 2];
    this.#words[header + 2] = low;
    this.#words[header + 3] = high;
    batch.add(padded);
  }

  /** Bytes of a packet as it travels: a multiple of 16, but never more than the MTU for that (packet-path.md, 2). */
  #padded(length: number): number {
    const rounded = (length + PaddingMultiple - 1) & -PaddingMultiple;
    const mtu = this.#memory.words[Control.mtu];
    return rounded <= mtu ? rounded : Math.max(length, mtu);
  }

  /** Hands packets to main, which keeps the newest of each peer until there is a session. */
  #stage(id: number): void {
    const { segmenter, batch } = this.#options;
    const ring = this.#memory.outboundToMain;
    const full = segmenter.packetLength;
    batch.lend(full);
    while (segmenter.remaining > 0) {
      if (segmenter.next(batch.text, batch.stride, 1) === 0) return;
      const length = segmenter.remaining === 0 ? segmenter.lastLength : full;
      const payload = ring.reserve(length);
      if (payload < 0) {
        this.#drop("staging-full", segmenter.remaining + 1);
        return;
      }
      this.#memory.bytes.set(this.#bytes.subarray(batch.text, batch.text + length), payload);
      ring.commit(FromOutbound.stage, id, this.#memory.generation(id));
      this.#posted = true;
    }
  }

  /** Seals what main has staged, and keepalives. */
  #requests(): void {
    const { batch, kernels } = this.#options;
    const ring = this.#memory.mainToOutbound;
    while (ring.next()) {
      const id = ring.first;
      const peer = this.#memory.peer(id);
      const keypair = this.#sessions.keypair(peer);
      const padded = this.#padded(ring.length);
      const ecn = ring.length === 0 ? Ecn.notCapable : readEcn(this.#memory.bytes, ring.payload);
      if (ring.second !== this.#memory.generation(id)) this.#drop("peer-removed", 1);
      else if (keypair < 0) this.#refuse(id);
      else if (batch.open(peer, padded, ecn) === 0) this.#drop("peer-no-endpoint", 1);
      else {
        const text = batch.text;
        this.#bytes.set(this.#memory.bytes.subarray(ring.payload, ring.payload + ring.length), text);
        kernels.zero(text + ring.length, padded - ring.length);
        if (ring.length > 0) this.#clamp(ring.length);
        this.#nonce[0] = this.#sessions.takeNonces(keypair, 1);
        this.#seal(keypair, padded);
        if (ring.length > 0) this.#sessions.noteData(peer, padded + messageOverhead);
        else this.#sessions.noteKeepalive(peer, messageOverhead);
      }
      ring.release();
    }
  }

  /**
   * The session ended, or ran out of numbers, while main's request was under way: what main needs is a new one. The
   * packet is not sent back, since main, which cannot see the counter, might return it for ever.
   */
  #refuse(id: number): void {
    this.#drop("keypair-expired", 1);
    if (this.#sessions.ask(id)) this.#posted = true;
  }

  #drop(reason: DropReason, count: number): void {
    this.#memory.floats[this.#drops + dropReasons.indexOf(reason)] += count;
  }
}
