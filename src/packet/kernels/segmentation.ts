/**
 * Cuts packets to size. The caller has checked every offset against the packet's length, and that a slot holds a
 * packet's length rounded up to 16.
 */
import { copySum, fold, sum } from "./checksum.ts";
import { copy } from "./copy.ts";
import { get16, get32, put16, put32, swap16 } from "./words.ts";

const TCP: u32 = 6;
const UDP: u32 = 17;
const UDP_HEADER = 8;
// The flags of TCP as they stand in the little-endian word of data offset and flags.
const FIN_PSH: u32 = 0x0900;
const CWR: u32 = 0x8000;

/**
 * Writes `count` of the packets a super-packet is cut into, from number `first` on, at `to` and every `stride` bytes
 * after it. `transport` is where the TCP or UDP header begins, `headers` where its payload does, `size` how much of
 * that each packet carries.
 */
export function segment(
  packet: usize,
  length: i32,
  transport: i32,
  headers: i32,
  size: i32,
  first: i32,
  count: i32,
  to: usize,
  stride: i32,
): void {
  const isIpv6 = load<u8>(packet) >> 4 === 6;
  const isUdp = headers - transport === UDP_HEADER; // a TCP header has 20 bytes and more
  const header = packet + transport;
  const id = get16(packet + 4);
  const sequence = get32(header + 4);
  const flags: u32 = load<u16>(header + 12);

  // What all packets have in common is summed once: the headers without the fields that change from one to the next.
  let ipSum: u32 = 0;
  if (!isIpv6) ipSum = fold(sum(packet, transport, 0) + less(packet + 2) + less(packet + 4) + less(packet + 10));
  const addresses = isIpv6 ? sum(packet + 8, 32, 0) : sum(packet + 12, 8, 0);
  let common = sum(header, headers - transport, addresses + swap16(isUdp ? UDP : TCP));
  if (isUdp) common += less(header + 4) + less(header + 6);
  else common += less(header + 4) + less(header + 6) + less(header + 12) + less(header + 16);

  for (let i = first; i < first + count; i++) {
    const done = i * size;
    const payload = min(size, length - headers - done);
    const total = headers + payload;
    const transportLength = swap16(total - transport);
    zeroTail(to, total);
    copy(to, packet, headers);
    if (isIpv6) {
      put16(to + 4, total - 40);
    } else {
      put16(to + 2, total);
      put16(to + 4, id + i); // RFC 6864 §4.1: unique where the packet may be fragmented; the kernel counts up as well
      store<u16>(to + 10, ~fold(ipSum + swap16(total) + swap16(id + i)) as u16);
    }
    let begun = common + transportLength;
    const at = to + transport;
    if (isUdp) {
      store<u16>(at + 4, transportLength as u16);
      begun += transportLength;
    } else {
      put32(at + 4, sequence + done);
      let kept = flags;
      if (headers + done + payload < length) kept &= ~FIN_PSH; // they speak of the end of the data
      if (i > 0) kept &= ~CWR; // RFC 3168 §6.1.2: said once
      store<u16>(at + 12, kept as u16);
      begun += (load<u16>(at + 4) as u32) + load<u16>(at + 6) + kept;
    }
    let check: u32 = ~copySum(to + headers, packet + headers + done, payload, begun) & 0xffff;
    if (isUdp && check === 0) check = 0xffff; // RFC 768: zero means that there is none
    store<u16>(at + (isUdp ? 6 : 16), check as u16);
    to += stride;
  }
}

/**
 * Copies one packet to its slot. From `start` on it is summed, and the checksum at `field` completed, which holds the
 * pseudo-header's sum; `start` equal to `length` means that there is nothing to complete.
 */
export function transfer(packet: usize, length: i32, start: i32, field: i32, to: usize): void {
  zeroTail(to, length);
  copy(to, packet, start);
  if (start === length) return;
  const check: u32 = ~copySum(to + start, packet + start, length - start, 0) & 0xffff;
  // As the kernel does for every protocol (net/core/dev.c, skb_checksum_help): 0xffff is the other zero.
  store<u16>(to + field, (check === 0 ? 0xffff : check) as u16);
}

/** Zeros from the packet's end up to a multiple of 16, by one store that its last bytes are then written over. */
function zeroTail(to: usize, length: i32): void {
  if (length & 15) v128.store(to + (length & ~15), i64x2.splat(0));
}

/** What takes a word out of a sum again: its complement. */
function less(at: usize): u32 {
  return 0xffff ^ load<u16>(at);
}
