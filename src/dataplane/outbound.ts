/**
 * From the TUN device to the network.
 *
 *     1. read       one packet or super-packet, behind its virtio header
 *     2. check      every field of that header and the packet's own against the length read
 *     3. route      the destination's allowed-IPs entry names the peer
 *     4. segment    into packets of the MTU's size, as many as there are slots
 *     5. number     the next nonce of the peer's keypair; this thread is the only one to take any
 *     6. seal       in place
 *     7. transmit   up to 64 messages to one endpoint with one call
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
import { PaddingMultiple, RejectAfterMessages, RekeyAfterMessages } from "../wireguard/constants.ts";
import type { DatagramBatch } from "./datagram-batch.ts";
import type { PacketAead } from "./packet-aead.ts";
import { Control, KeypairRecord, PeerRecord, type SharedMemory } from "./shared-memory.ts";

/** Kinds of records from this worker to main. `first` is the peer's id, `second` its generation. */
export const FromOutbound = { stage: 1, freshen: 2 } as const;
/** Records from main to this worker: likewise, and the payload is a packet; empty, it is a keepalive. */
export const ToOutbound = { seal: 1 } as const;

/** Bytes that one read may bring: the virtio header and the largest packet there is (RFC 8200 §3). */
export const readLength: number = VirtioHeader.size + 40 + 65_535;

/** How many reads make a batch before commands and the epoch are looked at again. */
const readsPerBatch = 32;
/** A worker asks main for a new handshake at most this often for one keypair. */
const askAgainAfterMs = 1000;

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
  /** Offset of `readLength` bytes, whose packet (10 bytes on) is 16-byte aligned. */
  readonly buffer: number;
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
  #posted = false;

  constructor(options: OutboundOptions) {
    this.#options = options;
    this.#memory = options.memory;
    this.#words = new Int32Array(options.arena.buffer);
    this.#bytes = new Uint8Array(options.arena.buffer);
    this.#drops = options.memory.dropRow("outbound");
  }

  /** Handles what is there: main's requests, then packets of the device. True if there may be more. */
  batch(): boolean {
    this.#requests();
    const { arena, tun, headerless, buffer, batch } = this.#options;
    let more = true;
    for (let i = 0; i < readsPerBatch; i++) {
      this.calls++;
      const length = libc.read(tun, arena.base + buffer + headerless, readLength - headerless);
      if (length >= 0) this.#packet(length + headerless);
      else {
        const error = errno();
        if (error === Errno.EINTR) continue;
        if (error === Errno.EINVAL) {
          this.#drop("offload-malformed", 1); // a packet of a kind that the virtio header has no name for
          continue;
        }
        more = false;
        if (error !== Errno.EAGAIN) this.deviceGone = error;
        break;
      }
    }
    batch.flush();
    if (batch.refused > 0) {
      this.#drop("send-failed", batch.refused);
      batch.refused = 0;
    }
    if (this.#posted) {
      this.#posted = false;
      this.#memory.wakeMain();
    }
    return more;
  }

  /** Steps 2 to 6 for what was read. */
  #packet(length: number): void {
    const { segmenter, allowedIps, buffer } = this.#options;
    const reason = segmenter.begin(buffer, length);
    if (reason !== undefined) {
      this.#drop(reason, 1);
      return;
    }
    const packet = buffer + VirtioHeader.size;
    const isIpv4 = this.#bytes[packet] >> 4 === 4;
    const id = isIpv4 ? allowedIps.lookup(this.#bytes, packet + 16, 4) : allowedIps.lookup(this.#bytes, packet + 24, 6);
    if (id < 0) {
      this.#drop("packet-no-peer", segmenter.count);
      return;
    }
    const peer = this.#memory.peer(id);
    const keypair = this.#sendingKeypair(peer);
    if (keypair < 0) {
      this.#stage(id);
      return;
    }
    this.#sealSegments(id, peer, keypair);
  }

  #sealSegments(id: number, peer: number, keypair: number): void {
    const { segmenter, batch, buffer } = this.#options;
    const full = this.#padded(segmenter.packetLength);
    const ecn = readEcn(this.#bytes, buffer + VirtioHeader.size);
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
        this.#seal(peer, keypair, wasLast ? this.#padded(segmenter.lastLength) : full);
      }
    }
    this.#stampData(peer);
    this.#freshen(id, keypair);
  }

  /** Lowers the MSS that a SYN at the batch's `text` announces. */
  #clamp(length: number): void {
    const { words } = this.#memory;
    if (words[Control.clampMss] === 1) clampMss(this.#bytes, this.#options.batch.text, length, words[Control.mtu]);
  }

  /** Numbers, seals and heads the message whose padded text lies at the batch's `text`. */
  #seal(peer: number, keypair: number, padded: number): void {
    const { aead, batch } = this.#options;
    const floats = this.#memory.floats;
    const counterAt = (keypair + KeypairRecord.sendCounter) >> 3;
    const counter = floats[counterAt];
    if (counter >= RejectAfterMessages) {
      this.#drop("keypair-expired", 1);
      return;
    }
    floats[counterAt] = counter + 1;
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
    floats[(peer + PeerRecord.sentBytes) >> 3] += padded + 32;
  }

  /** Bytes of a packet as it travels: a multiple of 16, but never more than the MTU for that (packet-path.md, 2). */
  #padded(length: number): number {
    const rounded = (length + PaddingMultiple - 1) & -PaddingMultiple;
    const mtu = this.#memory.words[Control.mtu];
    return rounded <= mtu ? rounded : Math.max(length, mtu);
  }

  /** The record of the keypair to seal with for a peer, or -1 if there is none or its time is over. */
  #sendingKeypair(peer: number): number {
    const slot = Atomics.load(this.#memory.words, (peer + PeerRecord.sendingKeypair) >> 2);
    if (slot === 0) return -1;
    const keypair = this.#memory.keypair(slot - 1);
    // One that main has let go of since, or that the inbound worker is about to take back.
    if (Atomics.load(this.#memory.words, (keypair + KeypairRecord.live) >> 2) !== 1) return -1;
    const floats = this.#memory.floats;
    if (this.#options.clock[0] >= floats[(keypair + KeypairRecord.rejectAt) >> 3]) return -1;
    return floats[(keypair + KeypairRecord.sendCounter) >> 3] >= RejectAfterMessages ? -1 : keypair;
  }

  #stampData(peer: number): void {
    const floats = this.#memory.floats;
    const now = this.#options.clock[0];
    floats[(peer + PeerRecord.sentAt) >> 3] = now;
    floats[(peer + PeerRecord.unacknowledgedSince) >> 3] = 0;
    if (floats[(peer + PeerRecord.unansweredSince) >> 3] === 0) {
      floats[(peer + PeerRecord.unansweredSince) >> 3] = now;
    }
  }

  /** Asks main for a new handshake when the keypair has grown old (whitepaper §6.2). */
  #freshen(id: number, keypair: number): void {
    const floats = this.#memory.floats;
    const now = this.#options.clock[0];
    const isOld =
      now >= floats[(keypair + KeypairRecord.rekeySendingAt) >> 3] ||
      floats[(keypair + KeypairRecord.sendCounter) >> 3] >= RekeyAfterMessages;
    if (!isOld || now - floats[(keypair + KeypairRecord.outboundAskedAt) >> 3] < askAgainAfterMs) return;
    const ring = this.#memory.outboundToMain;
    if (ring.reserve(0) < 0) return; // asked again with the next packet
    ring.commit(FromOutbound.freshen, id, this.#memory.generation(id));
    floats[(keypair + KeypairRecord.outboundAskedAt) >> 3] = now;
    this.#posted = true;
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
      const keypair = this.#sendingKeypair(peer);
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
        this.#seal(peer, keypair, padded);
        if (ring.length > 0) this.#stampData(peer);
        else this.#stampKeepalive(peer);
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
    const ring = this.#memory.outboundToMain;
    if (ring.reserve(0) < 0) return;
    ring.commit(FromOutbound.freshen, id, this.#memory.generation(id));
    this.#posted = true;
  }

  #stampKeepalive(peer: number): void {
    const floats = this.#memory.floats;
    floats[(peer + PeerRecord.sentAt) >> 3] = this.#options.clock[0];
    floats[(peer + PeerRecord.unacknowledgedSince) >> 3] = 0;
  }

  #drop(reason: DropReason, count: number): void {
    this.#memory.floats[this.#drops + dropReasons.indexOf(reason)] += count;
  }
}
