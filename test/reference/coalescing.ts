/**
 * Coalescing as a list operation: each packet is described in words, joins the last run if that description fits, and
 * the runs are assembled at the end.
 */
import { concatBytes, toHex } from "../../src/base/bytes.ts";
import type { SuperPacketKinds } from "../../src/packet/virtio-header.ts";
import { slowChecksum, slowSum } from "./checksum.ts";
import { makeVirtioHeader } from "./packets.ts";

interface Described {
  readonly packet: Uint8Array;
  readonly kind: "tcp4" | "tcp6" | "udp";
  readonly transport: number;
  readonly headers: number;
  /** All that must be the same in every packet of a run. */
  readonly flow: string;
  readonly payload: Uint8Array;
  readonly sequence: number;
  /** Undefined where it need not count up. */
  readonly identification: number | undefined;
  /** PSH or FIN. */
  readonly isEnd: boolean;
}

/** What is written to the TUN device, virtio headers included, when all of `packets` came in one batch. */
export function slowCoalesce(packets: readonly Uint8Array[], kinds: SuperPacketKinds): Uint8Array[] {
  const runs: { packet: Uint8Array; members: Described[] }[] = [];
  for (const packet of packets) {
    const described = describe(packet, kinds);
    const members = runs.at(-1)?.members ?? [];
    if (described !== undefined && fits(members, described)) members.push(described);
    else runs.push({ packet, members: described === undefined ? [] : [described] });
  }
  return runs.map(({ packet, members }) =>
    members.length < 2 ? concatBytes(makeVirtioHeader({}), packet) : assemble(members),
  );
}

/** Undefined for a packet that travels alone. */
function describe(packet: Uint8Array, kinds: SuperPacketKinds): Described | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const isIpv4 = packet[0] === 0x45;
  const transport = isIpv4 ? 20 : 40;
  if ((!isIpv4 && packet[0] >> 4 !== 6) || packet.length < transport + 8) return undefined;
  const declared = isIpv4 ? view.getUint16(2) : view.getUint16(4) + 40;
  if (declared !== packet.length) return undefined;
  if (isIpv4 && (view.getUint16(6) & 0xbfff) !== 0) return undefined; // a fragment, or the reserved bit
  if (isIpv4 && slowSum(packet.slice(0, 20)) !== 0xffff) return undefined;

  const protocol = packet[isIpv4 ? 9 : 6];
  const kind = protocol === 17 ? "udp" : isIpv4 ? "tcp4" : "tcp6";
  if ((protocol !== 6 && protocol !== 17) || !kinds[kind]) return undefined;
  if (protocol === 6 && packet.length < transport + 20) return undefined;
  const headers = transport + (protocol === 17 ? 8 : (packet[transport + 12] >> 4) * 4);
  if (packet.length <= headers || headers < transport + 8) return undefined;
  if (protocol === 6) {
    if (headers < transport + 20 || packet[transport + 12] % 16 !== 0) return undefined;
    if ((packet[transport + 13] & 0b1011_0110) !== 0b0001_0000) return undefined; // ACK; no CWR, URG, RST, SYN
  } else {
    if (view.getUint16(transport + 4) !== packet.length - transport) return undefined;
    if (view.getUint16(transport + 6) === 0) return undefined;
  }
  const pseudoHeader = makePseudoHeader(packet, transport, protocol);
  if (slowChecksum(pseudoHeader, packet.slice(transport)) !== 0) return undefined;

  const flow = packet.slice(0, headers);
  flow.fill(0, isIpv4 ? 2 : 4, 6); // length, and identification
  if (isIpv4) flow.fill(0, 10, 12);
  if (protocol === 6) {
    flow.fill(0, transport + 4, transport + 8);
    flow[transport + 13] &= ~0x09;
    flow.fill(0, transport + 16, transport + 18);
  } else {
    flow.fill(0, transport + 4, transport + 8);
  }
  return {
    packet,
    kind,
    transport,
    headers,
    flow: toHex(flow),
    payload: packet.slice(headers),
    sequence: protocol === 6 ? view.getUint32(transport + 4) : 0,
    identification: isIpv4 && (packet[6] & 0x40) === 0 ? view.getUint16(4) : undefined,
    isEnd: protocol === 6 && (packet[transport + 13] & 0x09) !== 0,
  };
}

function fits(members: readonly Described[], next: Described): boolean {
  const first = members.at(0);
  const last = members.at(-1);
  if (first === undefined || last === undefined || first.flow !== next.flow) return false;
  const size = first.payload.length;
  if (last.isEnd || last.payload.length !== size || next.payload.length > size) return false;
  if (next.identification !== undefined) {
    if (next.identification !== ((first.identification ?? 0) + members.length) % 65_536) return false;
  }
  if (first.headers + members.length * size + next.payload.length > 65_535) return false;
  if (next.kind === "udp") return members.length < 64;
  return next.sequence === (first.sequence + members.length * size) % 2 ** 32;
}

function assemble(members: readonly Described[]): Uint8Array {
  const [first] = members;
  const last = members[members.length - 1];
  const { transport, headers, kind } = first;
  const packet = concatBytes(first.packet.slice(0, headers), ...members.map((member) => member.payload));
  const view = new DataView(packet.buffer);
  const field = kind === "udp" ? 6 : 16;
  if (transport === 20) {
    view.setUint16(2, packet.length);
    view.setUint16(10, 0);
    view.setUint16(10, slowChecksum(packet.slice(0, 20)));
  } else {
    view.setUint16(4, packet.length - 40);
  }
  if (kind === "udp") view.setUint16(transport + 4, packet.length - transport);
  else packet[transport + 13] |= last.packet[transport + 13];
  view.setUint16(transport + field, slowSum(makePseudoHeader(packet, transport, kind === "udp" ? 17 : 6)));
  const header = makeVirtioHeader({
    flags: 1,
    gsoType: { tcp4: 1, tcp6: 4, udp: 5 }[kind],
    headerLength: headers,
    gsoSize: first.payload.length,
    checksumStart: transport,
    checksumOffset: field,
  });
  return concatBytes(header, packet);
}

function makePseudoHeader(packet: Uint8Array, transport: number, protocol: number): Uint8Array {
  const addresses = transport === 20 ? packet.slice(12, 20) : packet.slice(8, 40);
  const length = packet.length - transport;
  return Uint8Array.from([...addresses, 0, protocol, length >> 8, length & 255]);
}
