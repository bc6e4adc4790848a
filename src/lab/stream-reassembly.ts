/**
 * The byte streams of the TCP connections in a capture, as anybody on the way can put them together. Pure. A segment's
 * sequence number says where its bytes belong (RFC 9293 §3.4), so that what came twice or out of order falls into place.
 */
import { Protocol, readUint16, Tcp } from "../packet/ip.ts";
import { summarisePacket } from "./packet-summary.ts";

const SYN = 0x02;
/** Sequence numbers are compared within half their range (RFC 9293 §3.4). */
const half = 0x8000_0000;

/** One direction of a connection. */
export interface TcpStream {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  /** From the first byte up to the first gap. */
  readonly bytes: Uint8Array;
  /** Segments with bytes in them, those included that were sent again. */
  readonly segments: number;
  /** Of these, the ones that brought nothing new: all of their bytes had been seen before. */
  readonly repeated: number;
}

interface Segment {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

interface Flow extends Pick<TcpStream, "source" | "sourcePort" | "destination" | "destinationPort"> {
  /** The sequence number of the first byte; of a connection that began before the capture, the first one seen. */
  start: number | undefined;
  readonly segments: Segment[];
}

/** Every direction that has bytes, in the order in which they appear. Packets from the IP header on. */
export function reassembleStreams(packets: readonly Uint8Array[]): TcpStream[] {
  const flows = new Map<string, Flow>();
  for (const packet of packets) addPacket(flows, packet);
  return [...flows.values()].filter(({ segments }) => segments.length > 0).map(joinSegments);
}

function addPacket(flows: Map<string, Flow>, packet: Uint8Array): void {
  const summary = summarisePacket(packet);
  if (summary === undefined || summary.protocol !== Protocol.tcp || summary.body.length < Tcp.size) return;
  const { source, destination, body } = summary;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const sourcePort = readUint16(body, Tcp.sourcePort);
  const destinationPort = readUint16(body, Tcp.destinationPort);
  const sequence = view.getUint32(Tcp.sequence);
  const isStart = (body[Tcp.flags] & SYN) !== 0;
  const key = `${source} ${sourcePort} ${destination} ${destinationPort}`;
  const flow = flows.get(key) ?? { source, sourcePort, destination, destinationPort, start: undefined, segments: [] };
  flows.set(key, flow);
  if (isStart) flow.start = (sequence + 1) >>> 0; // SYN takes a number of its own
  const bytes = body.subarray((body[Tcp.dataOffset] >> 4) * 4);
  if (bytes.length === 0) return;
  flow.start ??= sequence;
  flow.segments.push({ sequence: isStart ? (sequence + 1) >>> 0 : sequence, bytes });
}

function joinSegments({ start = 0, segments, ...ends }: Flow): TcpStream {
  let repeated = 0;
  let highest = 0;
  const seen: { from: number; to: number; bytes: Uint8Array }[] = [];
  for (const { sequence, bytes } of segments) {
    const offset = (sequence - start) >>> 0;
    const from = offset >= half ? offset - 2 * half : offset; // before the start: a keep-alive probe
    const to = from + bytes.length;
    const isOld = from < highest && (to <= 0 || seen.some((other) => other.from <= from && to <= other.to));
    if (isOld) repeated++;
    else seen.push({ from, to, bytes });
    highest = Math.max(highest, to);
  }
  seen.sort((a, b) => a.from - b.from);
  const parts: Uint8Array[] = [];
  let end = 0;
  for (const { from, to, bytes } of seen) {
    if (from > end) break;
    if (to <= end) continue;
    parts.push(bytes.subarray(end - from));
    end = to;
  }
  const joined = new Uint8Array(end);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return { ...ends, bytes: joined, segments: segments.length, repeated };
}
