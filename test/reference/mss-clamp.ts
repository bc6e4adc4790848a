/** What clamping the MSS does, with readable steps: take the packet apart, lower the option, sum anew. */
import { slowChecksum } from "./checksum.ts";

/** The packet as it should leave, or `undefined` where it is not to be changed. */
export function slowClamp(packet: Uint8Array, largest: number): Uint8Array | undefined {
  const isIpv4 = packet[0] >> 4 === 4;
  const segmentAt = isIpv4 ? tcpOfIpv4(packet) : tcpOfIpv6(packet);
  if (segmentAt === undefined) return undefined;
  const header = packet.slice(segmentAt);
  if (header.length < 20) return undefined;
  const isSyn = (header[13] & 2) !== 0;
  const place = mssPlace(header.slice(0, (header[12] >> 4) * 4));
  if (!isSyn || place === undefined) return undefined;
  const limit = largest - (isIpv4 ? 40 : 60);
  const announced = header[place] * 256 + header[place + 1];
  if (limit <= 0 || announced <= limit) return undefined;
  const clamped = packet.slice();
  clamped.set([limit >> 8, limit & 255], segmentAt + place);
  return clamped;
}

/** The checksum a TCP packet ought to have, made from all of it; `headerSize` is what precedes TCP. */
export function tcpChecksum(packet: Uint8Array, headerSize: number): number {
  const isIpv4 = packet[0] >> 4 === 4;
  const addresses = isIpv4 ? packet.slice(12, 20) : packet.slice(8, 40);
  const segment = packet.slice(headerSize);
  segment.fill(0, 16, 18);
  const length = segment.length;
  return slowChecksum(Uint8Array.from([...addresses, 0, 6, length >> 8, length & 255]), segment);
}

function tcpOfIpv4(packet: Uint8Array): number | undefined {
  const fragmentOffset = (packet[6] * 256 + packet[7]) % 0x2000;
  return packet[9] === 6 && fragmentOffset === 0 ? (packet[0] % 16) * 4 : undefined;
}

function tcpOfIpv6(packet: Uint8Array): number | undefined {
  let [protocol, at] = [packet[6], 40];
  while (protocol !== 6) {
    const header = packet.slice(at, at + 8);
    const isKnown = [0, 43, 44, 51, 60].includes(protocol);
    if (header.length < 8 || !isKnown) return undefined;
    if (protocol === 44 && header[2] * 256 + header[3] >= 8) return undefined;
    if (protocol === 44) at += 8;
    else if (protocol === 51) at += header[1] * 4 + 8;
    else at += header[1] * 8 + 8;
    protocol = header[0];
  }
  return at;
}

/** Where the value of the first MSS option stands in a TCP header. */
function mssPlace(header: Uint8Array): number | undefined {
  for (let at = 20; at < header.length; ) {
    if (header[at] === 0) return undefined;
    if (header[at] === 1) {
      at += 1;
      continue;
    }
    if (at + 1 === header.length) return undefined;
    const size = header[at + 1];
    if (size < 2 || at + size > header.length) return undefined;
    if (header[at] === 2 && size === 4) return at + 2;
    at += size;
  }
  return undefined;
}
