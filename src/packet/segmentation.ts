/**
 * Hot path: cuts what one read from the TUN device returned into packets that fit the tunnel, and completes the
 * checksums the kernel left to us.
 *
 * The kernel hands over up to 64 KiB of TCP or UDP behind one set of headers. How many packets that makes, a stranger
 * chooses: a TCP peer that announces an MSS of 48 makes one read of 1,361. So packets are written a few at a time, to
 * slots of equal distance, each followed by zeros up to a multiple of 16 bytes, which is how WireGuard pads.
 *
 * Nothing in the virtio header is believed. Every field is checked against the bytes that were read or worked out from
 * the packet itself, so that no slot is ever overrun.
 */
import { type DropReason, VpnError } from "../base/errors.ts";
import { Ipv4, Ipv6, Protocol, readUint16, Tcp, Udp } from "./ip.ts";
import type { Kernels } from "./kernels.ts";
import { GsoType, type SuperPacketKinds, VirtioFlags, VirtioHeader } from "./virtio-header.ts";

export interface SegmenterOptions extends SuperPacketKinds {
  /** Bytes of the largest packet that there is room for anywhere. */
  readonly largest: number;
}

export class Segmenter {
  /** Bytes of every packet but the last. */
  packetLength = 0;
  /** Bytes of the last packet, which is the only one where `count` is 1. */
  lastLength = 0;
  /** How many packets there are in all. */
  count = 0;
  /** How many of them are still to be written. */
  remaining = 0;

  readonly #kernels: Kernels;
  readonly #bytes: Uint8Array;
  readonly #options: SegmenterOptions;
  #packet = 0;
  #length = 0;
  #transport = 0;
  #headers = 0;
  /** Payload of every packet but the last; 0 where the packet is not to be cut. */
  #size = 0;
  #checksumStart = 0;
  #checksumField = 0;

  constructor(kernels: Kernels, options: SegmenterOptions) {
    this.#kernels = kernels;
    this.#bytes = kernels.bytes;
    this.#options = options;
  }

  /**
   * Takes what was read: `length` bytes from the virtio header on. They must stay as they are until the last packet is
   * written. Where a reason is returned there is nothing to write.
   */
  begin(header: number, length: number): DropReason | undefined {
    this.count = 0;
    this.remaining = 0;
    this.#packet = header + VirtioHeader.size;
    this.#length = length - VirtioHeader.size;
    if (!this.#hasIpHeader()) return "packet-malformed";
    const isWhole = this.#bytes[header + VirtioHeader.gsoType] === GsoType.none;
    if (!(isWhole ? this.#beginWhole(header) : this.#beginCut(header))) return "offload-malformed";
    if (this.packetLength > this.#options.largest) return "packet-too-large";
    this.remaining = this.count;
    return undefined;
  }

  /**
   * Writes up to `limit` packets to `destination` and every `stride` bytes after it; call it again until it returns 0.
   * Slots may not overlap what was read. Throws `invalid-argument` where the stride is less than `packetLength` rounded
   * up to 16.
   */
  next(destination: number, stride: number, limit: number): number {
    const count = Math.min(limit, this.remaining);
    if (count <= 0) return 0;
    const slot = (this.packetLength + 15) & ~15;
    if (stride < slot) throw new VpnError("invalid-argument", `a stride of ${stride} bytes is less than ${slot}`);
    if (this.#size === 0) {
      this.#kernels.transfer(this.#packet, this.#length, this.#checksumStart, this.#checksumField, destination);
    } else {
      this.#kernels.segment(
        this.#packet,
        this.#length,
        this.#transport,
        this.#headers,
        this.#size,
        this.count - this.remaining,
        count,
        destination,
        stride,
      );
    }
    this.remaining -= count;
    return count;
  }

  /** Whether there is an IP header whose lengths agree with what was read; finds where it ends. */
  #hasIpHeader(): boolean {
    const bytes = this.#bytes;
    const at = this.#packet;
    if (this.#length < Ipv4.size) return false;
    const version = bytes[at] >> 4;
    if (version === 4) {
      this.#transport = (bytes[at] & 15) * 4;
      if (this.#transport < Ipv4.size || this.#transport > this.#length) return false;
      return readUint16(bytes, at + Ipv4.totalLength) === this.#length;
    }
    if (version !== 6 || this.#length < Ipv6.size) return false;
    this.#transport = Ipv6.size;
    return readUint16(bytes, at + Ipv6.payloadLength) + Ipv6.size === this.#length;
  }

  /** A packet to be sent as it is, its checksum perhaps to be completed. */
  #beginWhole(header: number): boolean {
    this.#size = 0;
    this.count = 1;
    this.packetLength = this.#length;
    this.lastLength = this.#length;
    this.#checksumStart = this.#length;
    if ((this.#bytes[header + VirtioHeader.flags] & VirtioFlags.needsChecksum) === 0) return true;
    this.#readChecksumPlace(header);
    return this.#checksumStart >= this.#transport && this.#checksumField + 2 <= this.#length;
  }

  /** A super-packet, whose checksums are made anew for every packet cut from it. */
  #beginCut(header: number): boolean {
    const bytes = this.#bytes;
    const type = bytes[header + VirtioHeader.gsoType];
    const size = readNative16(bytes, header + VirtioHeader.gsoSize);
    const protocol = this.#findTransport();
    if (size === 0 || !this.#isOffered(type, bytes[this.#packet] >> 4, protocol)) return false;
    this.#headers = this.#findPayload(protocol);
    if (this.#headers > this.#length) return false;
    if ((bytes[header + VirtioHeader.flags] & VirtioFlags.needsChecksum) !== 0) {
      this.#readChecksumPlace(header);
      const field = this.#transport + (protocol === Protocol.udp ? Udp.checksum : Tcp.checksum);
      if (this.#checksumStart !== this.#transport || this.#checksumField !== field) return false;
    }
    const payload = this.#length - this.#headers;
    this.#size = size;
    this.count = Math.max(1, Math.ceil(payload / size));
    this.packetLength = this.#headers + Math.min(size, payload);
    this.lastLength = this.#length - (this.count - 1) * size;
    return true;
  }

  #isOffered(type: number, version: number, protocol: number): boolean {
    if (type === GsoType.udp) return this.#options.udp && protocol === Protocol.udp;
    if (protocol !== Protocol.tcp) return false;
    const plain = type & ~GsoType.ecn;
    return version === 4 ? plain === GsoType.tcp4 && this.#options.tcp4 : plain === GsoType.tcp6 && this.#options.tcp6;
  }

  /**
   * Moves on to the TCP or UDP header and returns its protocol; -1 for a fragment, which cannot be cut, and for an IPv6
   * extension header other than the two that change nothing about what follows.
   */
  #findTransport(): number {
    const bytes = this.#bytes;
    const at = this.#packet;
    if (bytes[at] >> 4 === 4) {
      const isFragment = (readUint16(bytes, at + Ipv4.flagsAndOffset) & 0x3fff) !== 0;
      return isFragment ? -1 : bytes[at + Ipv4.protocol];
    }
    let protocol = bytes[at + Ipv6.nextHeader];
    while (protocol === Protocol.hopByHop || protocol === Protocol.destinationOptions) {
      if (this.#transport + 8 > this.#length) return -1;
      protocol = bytes[at + this.#transport];
      this.#transport += (bytes[at + this.#transport + 1] + 1) * 8; // RFC 8200 §4.3, §4.6
    }
    return protocol;
  }

  /** Where the payload begins; past the packet's end where the TCP or UDP header is cut short or wrong. */
  #findPayload(protocol: number): number {
    if (protocol === Protocol.udp) return this.#transport + Udp.size;
    if (this.#transport + Tcp.size > this.#length) return this.#length + 1;
    const size = (this.#bytes[this.#packet + this.#transport + Tcp.dataOffset] >> 4) * 4;
    return size < Tcp.size ? this.#length + 1 : this.#transport + size;
  }

  #readChecksumPlace(header: number): void {
    this.#checksumStart = readNative16(this.#bytes, header + VirtioHeader.checksumStart);
    this.#checksumField = this.#checksumStart + readNative16(this.#bytes, header + VirtioHeader.checksumOffset);
  }
}

function readNative16(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8);
}
