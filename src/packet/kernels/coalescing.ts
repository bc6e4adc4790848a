/**
 * Puts packets of one flow back together, by the rules of the kernel's own receive offload (net/ipv4/tcp_offload.c,
 * udp_offload.c, af_inet.c; net/ipv6/ip6_offload.c), or stricter: segmentation of what comes out gives back the packets
 * that went in, but for the identification of packets with DF, which means nothing (RFC 6864 §4.1).
 *
 * A super-packet is built at `at`, its virtio header in the ten bytes before that, its state in the first bytes of the
 * 64 before `at`, so that there may be as many of them at once as the arena has room for.
 */
import { copySum, sum } from "./checksum.ts";
import { copy } from "./copy.ts";
import { get16, get32, put16, swap16 } from "./words.ts";

// The state, as offsets from `at - 64`.
const STATE = 64;
const LENGTH = 0; // bytes held, 0 for none
const KIND = 4; // one of the kinds below
const TRANSPORT = 8; // where the TCP or UDP header begins
const HEADERS = 12; // where its payload begins
const SIZE = 16; // payload of every packet but the last
const COUNT = 20; // packets held
const SEQUENCE = 24; // TCP: the number the next packet must begin with
const IS_OPEN = 28; // whether another packet may follow

const ALONE = 0;
const TCP4 = 1; // these three are their types in the virtio header, too
const TCP6 = 4;
const UDP = 5;

const ALLOW_TCP4 = 1;
const ALLOW_TCP6 = 2;
const ALLOW_UDP = 4;

const FIN: u32 = 0x01;
const PSH: u32 = 0x08;
const ACK: u32 = 0x10;
const ECE: u32 = 0x40;
const DF: u32 = 0x0040; // in the little-endian word of flags and fragment offset

const LARGEST = 65_535;
const MOST_DATAGRAMS = 64; // UDP_GRO_CNT_MAX
const VIRTIO_HEADER = 10;
const NEEDS_CSUM = 1;

// What `classify` found in the packet it was last given.
let transport: i32 = 0;
let headers: i32 = 0;

/** Takes a packet, whose length its caller vouches for; 0 where it does not fit what is held. */
export function coalesce(at: usize, packet: usize, length: i32, allowed: i32): i32 {
  const state = at - STATE;
  const kind = classify(packet, length, allowed);
  if (load<i32>(state, LENGTH) !== 0) return follows(at, packet, length, kind) && append(at, packet, length) ? 1 : 0;
  store<i32>(state, length, LENGTH);
  store<i32>(state, 1, COUNT);
  if (kind === ALONE) {
    copy(at, packet, length);
    store<i32>(state, 0, IS_OPEN);
    return 1;
  }
  const payload = length - headers;
  copy(at, packet, headers);
  const isValid = copySum(at + headers, packet + headers, payload, sumHeaders(packet, length)) === 0xffff;
  store<i32>(state, kind, KIND);
  store<i32>(state, transport, TRANSPORT);
  store<i32>(state, headers, HEADERS);
  store<i32>(state, payload, SIZE);
  store<u32>(state, get32(packet + transport + 4) + payload, SEQUENCE);
  store<i32>(state, isValid && isIpv4HeaderValid(packet) && !endsRun(packet, kind) ? 1 : 0, IS_OPEN);
  return 1;
}

/** Completes what is held and forgets it. Returns its bytes with the virtio header, 0 where nothing is held. */
export function finish(at: usize): i32 {
  const state = at - STATE;
  const length = load<i32>(state, LENGTH);
  if (length === 0) return 0;
  store<i32>(state, 0, LENGTH);
  const header = at - VIRTIO_HEADER;
  store<u64>(header, 0);
  store<u16>(header, 0, 8);
  if (load<i32>(state, COUNT) === 1) return length + VIRTIO_HEADER;

  const kind = load<i32>(state, KIND);
  const transportAt = load<i32>(state, TRANSPORT);
  const field = kind === UDP ? 6 : 16;
  store<u8>(header, NEEDS_CSUM);
  store<u8>(header, kind as u8, 1);
  store<u16>(header, load<i32>(state, HEADERS) as u16, 2);
  store<u16>(header, load<i32>(state, SIZE) as u16, 4);
  store<u16>(header, transportAt as u16, 6);
  store<u16>(header, field as u16, 8);
  if (transportAt === 40) {
    put16(at + 4, length - 40);
  } else {
    put16(at + 2, length);
    store<u16>(at + 10, 0);
    store<u16>(at + 10, ~sum(at, 20, 0) as u16);
  }
  if (kind === UDP) put16(at + transportAt + 4, length - transportAt);
  store<u16>(at + transportAt + field, sumPseudoHeader(at, transportAt, length, kind === UDP) as u16);
  return length + VIRTIO_HEADER;
}

/** What may be merged with others of its kind; sets `transport` and `headers` where it is not ALONE. */
function classify(packet: usize, length: i32, allowed: i32): i32 {
  if (length < 28) return ALONE;
  let protocol: u32;
  if (load<u8>(packet) === 0x45) {
    // No options, no fragment, and the reserved bit clear.
    if (get16(packet + 2) !== length || (load<u16>(packet + 6) & ~DF) !== 0) return ALONE;
    protocol = load<u8>(packet + 9);
    transport = 20;
  } else if (load<u8>(packet) >> 4 === 6) {
    if (get16(packet + 4) + 40 !== length) return ALONE;
    protocol = load<u8>(packet + 6);
    transport = 40;
  } else {
    return ALONE;
  }
  const header = packet + transport;
  if (protocol === 6) {
    const kind = transport === 20 ? TCP4 : TCP6;
    if (!(allowed & (kind === TCP4 ? ALLOW_TCP4 : ALLOW_TCP6)) || length < transport + 20) return ALONE;
    const words: i32 = load<u8>(header + 12) >> 4;
    headers = transport + 4 * words;
    // Four reserved bits, of which AccECN uses one; then the flags, of which CWR must not be spread or repeated.
    if (words < 5 || headers >= length || (load<u8>(header + 12) & 15) !== 0) return ALONE;
    return (load<u8>(header + 13) & ~(FIN | PSH | ECE)) === ACK ? kind : ALONE;
  }
  headers = transport + 8;
  if (protocol !== 17 || !(allowed & ALLOW_UDP) || headers >= length) return ALONE;
  return get16(header + 4) === length - transport && load<u16>(header + 6) !== 0 ? UDP : ALONE;
}

/** Whether a packet that was just classified is the next of the run held, by its headers. */
function follows(at: usize, packet: usize, length: i32, kind: i32): bool {
  const state = at - STATE;
  const payload = length - headers;
  if (!load<i32>(state, IS_OPEN) || kind !== load<i32>(state, KIND)) return false;
  if (payload > load<i32>(state, SIZE) || load<i32>(state, LENGTH) + payload > LARGEST) return false;
  if (!hasSameIpHeader(at, packet)) return false;
  const held = at + transport;
  const header = packet + transport;
  if (load<u32>(held) !== load<u32>(header)) return false; // ports
  if (kind === UDP) return true;
  return get32(header + 4) === load<u32>(state, SEQUENCE) && hasSameTcpHeader(held, header);
}

/** All that must be the same in the IP header, its version first. */
function hasSameIpHeader(at: usize, packet: usize): bool {
  if (transport === 40) {
    // Version, traffic class and flow label; next header and hop limit, addresses.
    if (load<u32>(at) !== load<u32>(packet) || load<u16>(at + 6) !== load<u16>(packet + 6)) return false;
    const source = v128.xor(v128.load(at + 8), v128.load(packet + 8));
    const destination = v128.xor(v128.load(at + 24), v128.load(packet + 24));
    return !v128.any_true(v128.or(source, destination));
  }
  // Version, length and type of service; DF; time to live and protocol; addresses.
  if (load<u16>(at) !== load<u16>(packet) || load<u32>(at + 6) !== load<u32>(packet + 6)) {
    return false;
  }
  if (load<u64>(at + 12) !== load<u64>(packet + 12)) return false;
  if (load<u16>(packet + 6) & DF) return true;
  // Without DF the identification means something (RFC 6864 §4.1), and segmentation would count up from the first.
  const next = get16(at + 4) + load<i32>(at - STATE, COUNT);
  return get16(packet + 4) === (next & 0xffff);
}

/** Acknowledgement, data offset, flags but for PSH and FIN, window, urgent pointer, options. */
function hasSameTcpHeader(held: usize, header: usize): bool {
  if (load<u32>(held + 8) !== load<u32>(header + 8)) return false;
  const flags: u32 = load<u32>(held + 12) ^ load<u32>(header + 12);
  if (flags & ~((PSH | FIN) << 8)) return false;
  if (load<u16>(held + 18) !== load<u16>(header + 18)) return false;
  for (let i: i32 = 20; i < headers - transport; i += 4) {
    if (load<u32>(held + i) !== load<u32>(header + i)) return false;
  }
  return true;
}

/** Verifies the checksum while the payload is copied behind what is held; a bad one leaves the run as it was. */
function append(at: usize, packet: usize, length: i32): bool {
  const state = at - STATE;
  const held = load<i32>(state, LENGTH);
  const kind = load<i32>(state, KIND);
  const payload = length - headers;
  if (copySum(at + held, packet + headers, payload, sumHeaders(packet, length)) !== 0xffff) return false;
  if (!isIpv4HeaderValid(packet)) return false;
  const count = load<i32>(state, COUNT) + 1;
  store<i32>(state, held + payload, LENGTH);
  store<i32>(state, count, COUNT);
  store<u32>(state, load<u32>(state, SEQUENCE) + payload, SEQUENCE);
  const isFull = payload < load<i32>(state, SIZE) || (kind === UDP && count === MOST_DATAGRAMS);
  if (isFull || endsRun(packet, kind)) store<i32>(state, 0, IS_OPEN);
  // PSH and FIN stand in the super-packet's one header; segmentation gives them back to its last packet.
  if (kind !== UDP) store<u8>(at + transport + 13, load<u8>(at + transport + 13) | load<u8>(packet + transport + 13));
  return true;
}

function endsRun(packet: usize, kind: i32): bool {
  return kind !== UDP && (load<u8>(packet + transport + 13) & (PSH | FIN)) !== 0;
}

function isIpv4HeaderValid(packet: usize): bool {
  return transport === 40 || sum(packet, 20, 0) === 0xffff;
}

/** The sum of the pseudo-header and of the TCP or UDP header. */
function sumHeaders(packet: usize, length: i32): u32 {
  const isUdp = headers - transport === 8; // a TCP header has 20 bytes and more
  return sum(packet + transport, headers - transport, sumPseudoHeader(packet, transport, length, isUdp));
}

/** RFC 9293 §3.1, RFC 768, RFC 8200 §8.1. */
function sumPseudoHeader(packet: usize, transportAt: i32, length: i32, isUdp: bool): u32 {
  const fields = swap16(isUdp ? 17 : 6) + swap16(length - transportAt);
  return transportAt === 40 ? sum(packet + 8, 32, fields) : sum(packet + 12, 8, fields);
}
