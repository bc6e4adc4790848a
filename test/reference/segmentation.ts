/**
 * Segmentation of a well-formed TCP or UDP super-packet without extension headers: each packet is a copy of the headers
 * and its part of the payload, in which every field that says something about the whole is put right.
 */
import { slowChecksum } from "./checksum.ts";

/** Cuts `packet` so that each but the last carries `size` bytes of payload. */
export function slowSegment(packet: Uint8Array, size: number): Uint8Array[] {
  const isIpv4 = packet[0] >> 4 === 4;
  const transport = isIpv4 ? (packet[0] % 16) * 4 : 40;
  const isTcp = packet[isIpv4 ? 9 : 6] === 6;
  const headers = transport + (isTcp ? (packet[transport + 12] >> 4) * 4 : 8);
  const count = Math.max(1, Math.ceil((packet.length - headers) / size));

  return Array.from({ length: count }, (_, i) => {
    const payload = packet.slice(headers + i * size, headers + (i + 1) * size);
    const cut = new Uint8Array(headers + payload.length);
    cut.set(packet.slice(0, headers));
    cut.set(payload, headers);
    const view = new DataView(cut.buffer);

    if (isIpv4) {
      view.setUint16(2, cut.length);
      view.setUint16(4, (view.getUint16(4) + i) % 65_536);
      view.setUint16(10, 0);
      view.setUint16(10, slowChecksum(cut.slice(0, transport)));
    } else {
      view.setUint16(4, cut.length - 40);
    }
    const addresses = isIpv4 ? cut.slice(12, 20) : cut.slice(8, 40);
    const length = cut.length - transport;
    const pseudoHeader = Uint8Array.from([...addresses, 0, isTcp ? 6 : 17, length >> 8, length & 255]);
    if (isTcp) {
      view.setUint32(transport + 4, (view.getUint32(transport + 4) + i * size) % 2 ** 32);
      if (i < count - 1) cut[transport + 13] &= ~(0x01 | 0x08); // FIN, PSH
      if (i > 0) cut[transport + 13] &= ~0x80; // CWR
      view.setUint16(transport + 16, 0);
      view.setUint16(transport + 16, slowChecksum(pseudoHeader, cut.slice(transport)));
    } else {
      view.setUint16(transport + 4, length);
      view.setUint16(transport + 6, 0);
      view.setUint16(transport + 6, slowChecksum(pseudoHeader, cut.slice(transport)) || 0xffff);
    }
    return cut;
  });
}
