/**
 * Datagrams as they arrive: one recvmsg brings up to 64 of one sender and one size, when the kernel has joined them
 * (UDP_GRO, udp(7)).
 *
 * Hot path.
 */
import type { Arena } from "../os/arena.ts";
import { errno, libc } from "../os/libc.ts";
import { PacketInfo4, PacketInfo6 } from "../os/sockaddr.ts";
import { Errno } from "../os/system-error.ts";
import { EndpointRecord } from "./endpoint-record.ts";
import { aeadLead } from "./packet-aead.ts";

const maximumName = 28;
const controlCapacity = 128;

// In the scratch: struct msghdr, one entry of the I/O vector, the sender as endpoint-record.ts has it, control messages.
const messageHeader = 0;
const vector = 64;
const sender = 92; // so that the name is aligned to 8
const name = sender + EndpointRecord.name;
const localDevice = sender + EndpointRecord.localDevice;
const localAddress = sender + EndpointRecord.localAddress;
const control = 144;
/** Bytes of arena that the reader needs beside the buffer. */
export const readerScratch: number = control + controlCapacity;
/** Bytes of arena for the buffer: the lead the cipher wants, and the most that one call brings. */
export const readerBuffer: number = aeadLead + 65_535 + 65;

const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const SOL_UDP = 17;
const UDP_GRO = 104;
const IPPROTO_IP = 0;
const IP_TOS = 1;
const IPPROTO_IPV6 = 41;
const IPV6_TCLASS = 67;
const ecnBits = 3;

export interface ReaderOptions {
  readonly arena: Arena;
  /** Offsets of `readerScratch` and `readerBuffer` bytes. */
  readonly scratch: number;
  readonly buffer: number;
}

export class DatagramReader {
  /** Where the first datagram lies, the bytes of all, and the bytes of each but the last, which may be shorter. */
  readonly data: number;
  length: number = 0;
  datagramLength: number = 0;
  /** What routers say on the datagrams: see packet/congestion-mark.ts. The kernel joins none that differ in it. */
  ecn: number = 0;
  /** Where the sender's endpoint lies, with the local address that it spoke to. */
  readonly sender: number;
  readonly #arena: Arena;
  readonly #words: Int32Array;
  readonly #scratch: number;

  constructor({ arena, scratch, buffer }: ReaderOptions) {
    this.#arena = arena;
    this.#words = new Int32Array(arena.buffer);
    this.#scratch = scratch;
    this.sender = scratch + sender;
    // The first message's text, 16 bytes on, is then aligned to 16, and 64 bytes of lead fit before it.
    this.data = buffer + aeadLead;
    this.#pointer(scratch + messageHeader, arena.base + scratch + name);
    this.#pointer(scratch + messageHeader + 16, arena.base + scratch + vector);
    this.#words[(scratch + messageHeader + 24) >> 2] = 1;
    this.#pointer(scratch + messageHeader + 32, arena.base + scratch + control);
    this.#pointer(scratch + vector, arena.base + this.data);
    this.#words[(scratch + vector + 8) >> 2] = 65_535;
  }

  /**
   * Takes what one call brings.
   * @returns 1 with the fields filled, 0 if there is nothing, -1 if what came was cut off and is of no use.
   */
  read(fd: number): number {
    const header = this.#scratch + messageHeader;
    this.#words[(header + 8) >> 2] = maximumName;
    this.#words[(header + 40) >> 2] = controlCapacity;
    const length = libc.recvmsg(fd, this.#arena.base + header, MSG_DONTWAIT);
    if (length < 0) return errno() === Errno.EINTR ? this.read(fd) : 0;
    if ((this.#words[(header + 48) >> 2] & MSG_TRUNC) !== 0) return -1;
    this.length = length;
    this.#words[this.sender >> 2] = this.#words[(header + 8) >> 2];
    this.#words[(this.#scratch + localDevice) >> 2] = 0;
    this.datagramLength = length;
    this.ecn = 0;
    this.#control();
    return 1;
  }

  /** What came with the datagrams: their size, where UDP_GRO has joined several, our address, ECN (ip(7), ipv6(7)). */
  #control(): void {
    const words = this.#words;
    const at = this.#scratch + control;
    const end = at + words[(this.#scratch + messageHeader + 40) >> 2];
    for (let entry = at; entry + 16 <= end; ) {
      const length = words[entry >> 2];
      if (length < 16) return;
      const level = words[(entry + 8) >> 2];
      const type = words[(entry + 12) >> 2];
      const data = entry + 16;
      if (level === SOL_UDP && type === UDP_GRO) this.datagramLength = words[data >> 2] || this.length;
      else if (level === IPPROTO_IP && type === IP_TOS)
        this.ecn = words[data >> 2] & ecnBits; // a single byte
      else if (level === IPPROTO_IPV6 && type === IPV6_TCLASS) this.ecn = words[data >> 2] & ecnBits;
      else if (level === IPPROTO_IP && type === PacketInfo4.type)
        this.#local(data, PacketInfo4.device, PacketInfo4.local, 1);
      else if (level === IPPROTO_IPV6 && type === PacketInfo6.type)
        this.#local(data, PacketInfo6.device, PacketInfo6.local, 4);
      entry += (length + 7) & ~7;
    }
  }

  #local(data: number, device: number, address: number, count: number): void {
    const words = this.#words;
    words[(this.#scratch + localDevice) >> 2] = words[(data + device) >> 2];
    const to = (this.#scratch + localAddress) >> 2;
    const from = (data + address) >> 2;
    for (let i = 0; i < 4; i++) words[to + i] = i < count ? words[from + i] : 0;
  }

  #pointer(at: number, address: number): void {
    this.#words[at >> 2] = address;
    this.#words[(at >> 2) + 1] = (address / 0x1_0000_0000) | 0;
  }
}
