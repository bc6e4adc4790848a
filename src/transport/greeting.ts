/**
 * How one warren knows another in `warren classic`, whose protocol has no greeting: the first thing that each end sends
 * is a packet that no host does anything with. It is an IPv4 header, from nowhere to nowhere, of a protocol number for
 * experiments (253, RFC 3692), with a wrong checksum, and eight bytes of text. Every kernel discards it without a word
 * (RFC 1122 §3.2.1.2), so an end that is not a warren takes it for a packet and never notices; a warren takes it for
 * what it is, and knows that whoever sent it finds the packets in its stream. Pure.
 */
export const greeting: Uint8Array = Uint8Array.from([
  ...[0x45, 0, 0, 28, 0, 0, 0, 0, 0, 253, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
  ...new TextEncoder().encode("warren 1"),
]);

/** Whether the packet of `length` bytes at `at` is a greeting. */
export function isGreeting(bytes: Uint8Array, at: number, length: number): boolean {
  if (length !== greeting.length || bytes[at + 9] !== greeting[9]) return false;
  for (let i = 0; i < length; i++) if (bytes[at + i] !== greeting[i]) return false;
  return true;
}
