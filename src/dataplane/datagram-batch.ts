/**
 * Messages to one endpoint on their way out: a row of slots in the arena, sent with one system call.
 *
 * The kernel cuts what one sendmsg hands over into datagrams of equal size (UDP_SEGMENT, udp(7)), the last of which may
 * be shorter. So a run of messages goes together while they are for the same peer, of the same size and of the same ECN; a
 * shorter one ends it. Each slot has an entry of the I/O vector of its own:
 *
 *     | 48 bytes of the cipher's | 16 header | text | 16 tag | 16 of the cipher's |
 *                                ^ what the entry points to ^
 *
 * Hot path.
 */
import type { Arena } from "../os/arena.ts";
import { errno, libc } from "../os/libc.ts";
import { type OffloadFault, refusal } from "../os/offload-fault.ts";
import { PacketInfo4, PacketInfo6 } from "../os/sockaddr.ts";
import { Errno, refusesSource } from "../os/system-error.ts";
import { EndpointRecord, readEndpoint, writeEndpoint } from "./endpoint-record.ts";
import { aeadLead, aeadTail, tagLength } from "./packet-aead.ts";
import { PeerRecord, type SharedMemory } from "./shared-memory.ts";
import type { Turns } from "./turns.ts";

export const headerLength = 16;
/** Bytes that a data message adds to its padded packet: header and tag. */
export const messageOverhead: number = headerLength + tagLength;

const maximumSlots = 64; // UDP_MAX_SEGMENTS before kernel 6.9
/** The most that one send may carry: 65,535 less IPv6's header and UDP's. */
const maximumBytes = 65_487;

// In the scratch: struct msghdr, the endpoint as endpoint-record.ts has it, three control messages, the I/O vector. The
// first control message, the size of segments, is only for several messages; then comes our own address, if it matters, and
// behind that the traffic class, where packets speak of congestion.
const messageHeader = 0;
const endpoint = 60; // so that the name is aligned to 8
const name = endpoint + EndpointRecord.name;
const localDevice = endpoint + EndpointRecord.localDevice;
const localAddress = endpoint + EndpointRecord.localAddress;
const control = 128;
const segmentLength = 24;
const local = control + segmentLength;
const controlHeader = 16;
const trafficClassLength = 24;
const vector = 224;
/** Bytes of arena that the batch needs beside the slots. */
export const batchScratch: number = vector + 16 * maximumSlots;

const MSG_DONTWAIT = 0x40;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const IPPROTO_IP = 0;
const IP_TOS = 1;
const IPPROTO_IPV6 = 41;
const IPV6_TCLASS = 67;
const AF_INET6 = 10;

export interface BatchOptions {
  readonly arena: Arena;
  /** Offset of `batchScratch` bytes. */
  readonly scratch: number;
  /** Offset and size of the memory for the slots. */
  readonly slots: number;
  readonly slotsSize: number;
  readonly memory: SharedMemory;
  readonly sockets: { readonly v4: number; readonly v6: number };
  /** Whether the sockets take UDP_SEGMENT. */
  readonly segmentation: boolean;
  /** Told that sends carry one message each from now on. */
  readonly withdraw: (fault: OffloadFault) => void;
  /** Where there are several workers: what is sent has to wait for its turn. */
  readonly turns?: Turns | undefined;
  /** Waits until the socket may take more; false when the worker is to end. */
  readonly waitWritable: (fd: number) => boolean;
}

export class DatagramBatch {
  /** Messages given up because the kernel refused them, until whoever counts them sets it back. */
  refused: number = 0;
  /** Messages sent, and calls it took. */
  sent: number = 0;
  calls: number = 0;
  /** The place of the next message's text, and the distance to the one after it. */
  text: number = 0;
  stride: number = 0;
  readonly #options: BatchOptions;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  #segmentation: boolean;
  #peer = -1;
  #endpointVersion = -1;
  #fd = -1;
  /** Bytes of the control message that says which of our addresses to send from; 0 where the kernel may choose. */
  #localLength = 0;
  #ecn = 0;
  #size = 0;
  #count = 0;
  #limit = 0;

  constructor(options: BatchOptions) {
    this.#options = options;
    this.#words = new Int32Array(options.arena.buffer);
    this.#bytes = new Uint8Array(options.arena.buffer);
    this.#segmentation = options.segmentation;
    const { arena, scratch } = options;
    this.#pointer(scratch + messageHeader, arena.base + scratch + name);
    this.#pointer(scratch + messageHeader + 16, arena.base + scratch + vector);
    this.#words[(scratch + control) >> 2] = segmentLength - 6; // CMSG_LEN(sizeof(uint16_t))
    this.#words[(scratch + control + 8) >> 2] = SOL_UDP;
    this.#words[(scratch + control + 12) >> 2] = UDP_SEGMENT;
  }

  /**
   * Makes room for messages of `padded` bytes of text to a peer (its record's offset), sending what is there if they
   * cannot follow it. `ecn` is what their datagrams say of congestion (packet/congestion-mark.ts). Returns how many fit, at least 1, and sets `text` and `stride`; 0 if the peer has no endpoint.
   */
  open(peer: number, padded: number, ecn: number): number {
    const size = padded + messageOverhead;
    const isSameRun = peer === this.#peer && ecn === this.#ecn && size <= this.#size && this.#count < this.#limit;
    if (this.#count > 0 && !isSameRun) this.flush();
    if (this.#count === 0) {
      if (!this.#address(peer)) return 0;
      this.#size = size;
      this.#ecn = ecn;
      this.stride = (aeadLead + padded + aeadTail + 63) & ~63;
      const most = this.#segmentation ? Math.min(maximumSlots, (maximumBytes / size) | 0) : maximumSlots;
      this.#limit = Math.max(1, Math.min(most, (this.#options.slotsSize / this.stride) | 0));
    }
    this.text = this.#options.slots + this.#count * this.stride + aeadLead;
    return this.#limit - this.#count;
  }

  /** Sends what has been added, then lends the first slot's text for packets of `length` bytes that go elsewhere. */
  lend(length: number): void {
    this.flush();
    this.stride = (aeadLead + length + aeadTail + 63) & ~63;
    this.text = this.#options.slots + aeadLead;
  }

  /** Takes the message of `padded` bytes whose text lies at `text` into the batch: sealed, its header written. */
  add(padded: number): void {
    const { arena, scratch } = this.#options;
    const entry = scratch + vector + 16 * this.#count;
    this.#pointer(entry, arena.base + this.text - headerLength);
    this.#words[(entry + 8) >> 2] = padded + messageOverhead;
    this.#count++;
    this.text += this.stride;
    if (padded + messageOverhead < this.#size) this.#limit = this.#count; // a shorter one ends the run
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Sends what has been added. */
  flush(): void {
    const count = this.#count;
    this.#count = 0;
    if (count === 0 || this.#options.turns?.take() === false) return;
    if (count > 1 && this.#segmentation) {
      if (this.#send(0, count)) return;
      const error = errno();
      // EIO: a device without checksum offload. EINVAL, EMSGSIZE: the segments are larger than this path's MTU, which
      // the kernel mends by fragmenting, but only for single datagrams. Or our own address is to blame: see below.
      const mayPassAlone = error === Errno.EMSGSIZE || error === Errno.EINVAL;
      if (error === Errno.EIO) {
        this.#segmentation = false;
        this.#options.withdraw(refusal("UDP_SEGMENT", "sendmsg", error));
      } else if (!mayPassAlone && (this.#localLength === 0 || !refusesSource(error))) {
        this.refused += count;
        return;
      }
    }
    for (let i = 0; i < count; i++) {
      if (this.#send(i, 1) || (this.#forgetLocal() && this.#send(i, 1))) continue;
      this.refused++;
    }
  }

  /** One sendmsg of `count` messages from slot `first` on. False if the kernel refused; errno says why. */
  #send(first: number, count: number): boolean {
    const { arena, scratch } = this.#options;
    const header = scratch + messageHeader;
    this.#pointer(header + 16, arena.base + scratch + vector + 16 * first);
    this.#words[(header + 24) >> 2] = count;
    const segments = count > 1 ? segmentLength : 0;
    const controls = segments + this.#localLength + this.#trafficClass();
    this.#pointer(header + 32, controls === 0 ? 0 : arena.base + scratch + local - segments);
    this.#words[(header + 40) >> 2] = controls;
    this.#words[(scratch + control + 16) >> 2] = this.#size;
    for (;;) {
      this.calls++;
      if (libc.sendmsg(this.#fd, arena.base + header, MSG_DONTWAIT) >= 0) {
        this.sent += count;
        return true;
      }
      const error = errno();
      if (error === Errno.EAGAIN) {
        if (!this.#options.waitWritable(this.#fd)) return true; // the worker ends, and its queue with it
      } else if (error !== Errno.EINTR) return false;
    }
  }

  /** Writes the control message that says what the datagrams are to say of congestion; its length, 0 where there is none. */
  #trafficClass(): number {
    if (this.#ecn === 0) return 0;
    const { scratch, sockets } = this.#options;
    const isIpv6 = this.#fd === sockets.v6;
    const words = this.#words;
    const at = (scratch + local + this.#localLength) >> 2;
    words[at] = controlHeader + 4; // CMSG_LEN(sizeof(int))
    words[at + 1] = 0;
    words[at + 2] = isIpv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    words[at + 3] = isIpv6 ? IPV6_TCLASS : IP_TOS;
    words[at + 4] = this.#ecn;
    return trafficClassLength;
  }

  /** Loads a peer's endpoint, unless it is the one loaded last and unchanged. */
  #address(peer: number): boolean {
    const { memory, scratch, sockets } = this.#options;
    const current = Atomics.load(memory.words, (peer + PeerRecord.endpointVersion) >> 2);
    if (peer === this.#peer && current === this.#endpointVersion) return this.#fd >= 0;
    const version = readEndpoint(memory.words, peer, this.#words, (scratch + endpoint) >> 2);
    const length = this.#words[(scratch + endpoint) >> 2];
    this.#peer = peer;
    this.#endpointVersion = version;
    const family = this.#bytes[scratch + name];
    this.#fd = length === 0 ? -1 : family === AF_INET6 ? sockets.v6 : sockets.v4;
    this.#words[(scratch + messageHeader + 8) >> 2] = length;
    this.#prepareLocal(family === AF_INET6);
    return this.#fd >= 0;
  }

  /**
   * Has the answer leave from where the peer spoke to. The interface is left to the kernel's routes: to name it, too,
   * would send into the void what another way leads to by now.
   */
  #prepareLocal(isIpv6: boolean): void {
    const words = this.#words;
    const { scratch } = this.#options;
    this.#localLength = 0;
    if (words[(scratch + localDevice) >> 2] === 0) return;
    const { size, type } = isIpv6 ? PacketInfo6 : PacketInfo4;
    const at = (scratch + local) >> 2;
    words.fill(0, at, at + (controlHeader + PacketInfo6.size) / 4);
    words[at] = controlHeader + size;
    words[at + 2] = isIpv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    words[at + 3] = type;
    const to = at + (controlHeader + (isIpv6 ? PacketInfo6.local : PacketInfo4.local)) / 4;
    for (let i = 0; i < (isIpv6 ? 4 : 1); i++) words[to + i] = words[((scratch + localAddress) >> 2) + i];
    this.#localLength = (controlHeader + size + 7) & ~7;
  }

  /** After a refusal: if it may be for an address that is ours no more, the kernel chooses from now on. Whether so. */
  #forgetLocal(): boolean {
    const { scratch, memory } = this.#options;
    if (this.#localLength === 0 || !refusesSource(errno())) return false;
    this.#localLength = 0;
    this.#words[(scratch + localDevice) >> 2] = 0;
    const at = (scratch + endpoint) >> 2;
    const current = Atomics.load(memory.words, (this.#peer + PeerRecord.endpointVersion) >> 2);
    if (current === this.#endpointVersion && writeEndpoint(memory.words, this.#peer, this.#words, at)) {
      this.#endpointVersion = current + 2;
    }
    return true;
  }

  #pointer(at: number, address: number): void {
    this.#words[at >> 2] = address;
    this.#words[(at >> 2) + 1] = (address / 0x1_0000_0000) | 0;
  }
}
