/** The events of a trace for people: each packet place by place, with its bytes there. Pure. */
import { toHex } from "../base/bytes.ts";
import { hexLines } from "../lab/packet-account.ts";
import { describeChange } from "../packet/difference.ts";
import { Data } from "../wireguard/messages.ts";
import type { Carrier, Journey, LoneMessage, RouteDecision, Sighting, TraceEvent, TraceSummary } from "./journey.ts";

const bytesPerLine = 32;
/** Of a packet's bytes this much is shown. */
const mostShown = 128;

/** Lines for an event. */
export function describeEvent(event: TraceEvent): string[] {
  switch (event.kind) {
    case "begin":
      return [`looking at ${event.device}; Ctrl-C ends it`];
    case "packet":
      return describeJourney(event);
    case "message":
      return describeMessage(event);
    case "end":
      return describeEnd(event);
  }
}

function describeJourney(journey: Journey): string[] {
  const { number, direction, title, inside, answers } = journey;
  // In the order in which the packet meets them.
  const inner = describeInside(journey);
  const outer = describeOutside(journey);
  const places =
    direction === "out" ? [route(journey), inner, peer(journey), outer] : [outer, peer(journey), inner, route(journey)];
  return [
    `${number}  ${direction}  ${timeOf(inside)}  ${title}`,
    ...places
      .filter((lines) => lines.length > 0)
      .flatMap(([first, ...more], i) => [`   ${i + 1}  ${first}`, ...more.map((line) => `      ${line}`)]),
    ...(answers === undefined
      ? []
      : [
          `   answers ${answers.number} after ${answers.afterMs.toFixed(2)} ms; since then:`,
          ...answers.changes.map((change) => `      ${describeChange(change)}`),
        ]),
  ];
}

function route({ route: decision, direction, inside }: Journey): string[] {
  const from = direction === "out" ? "" : `, from ${inside.device}`;
  if (decision === undefined) return [`kernel${from}: no route to it`];
  return [`kernel${from}: ${describeRoute(decision)}`];
}

function describeRoute({ destination, matches, prefix, kind, device, via, source }: RouteDecision): string {
  const how = `${via === null ? "" : ` via ${via}`}${source === null ? "" : `, source ${source}`}`;
  const what = kind === "unicast" ? "" : `${kind}, `;
  return `${destination} matches ${matches}, prefix length ${prefix}: ${what}dev ${device ?? "none"}${how}`;
}

function describeInside({ inside, direction, isSuperPacket }: Journey): string[] {
  const why = isSuperPacket ? ", more than the MTU: a super-packet, which the tunnel cuts or has joined" : "";
  return [`${inside.device} ${direction}, ${inside.length} bytes${why}`, ...bytesOf(inside, 0)];
}

function peer({ peer: choice, direction }: Journey): string[] {
  if (choice === undefined)
    return [`tunnel: nobody's allowed IP covers the ${direction === "out" ? "destination" : "source"}`];
  const { publicKey, allowedIp, endpoint = "no endpoint yet" } = choice;
  return [`tunnel: peer ${publicKey}, allowed IP ${allowedIp}, at ${endpoint}`];
}

function describeOutside({ carrier, candidates, inside, isSuperPacket, direction }: Journey): string[] {
  if (carrier === undefined)
    return isSuperPacket ? [] : [`no message that fits was seen ${direction === "out" ? "going out" : "coming in"}`];
  const { sighting, message } = carrier;
  const elapsedMs = Math.abs(sighting.at - inside.at).toFixed(2);
  const padding = message.length - Data.overhead - inside.length;
  const certainty = candidates === 1 ? "" : `; ${candidates} messages fitted, this is the first`;
  return [
    `${sighting.device} ${direction}, ${elapsedMs} ms ${direction === "out" ? "later" : "earlier"}, ${describeCarrier(carrier)}`,
    `${Data.payload} header + ${inside.length} packet + ${padding} padding + 16 tag = ${message.length} bytes${certainty}`,
    ...bytesOf(sighting, carrier.headerBytes),
  ];
}

function describeCarrier({ source, destination, sighting, sharedBy, message }: Carrier): string {
  const receiver =
    message.receiver === undefined ? "" : `, receiver 0x${message.receiver.toString(16).padStart(8, "0")}`;
  const counter = message.counter === undefined ? "" : `, counter ${message.counter}`;
  const shared = sharedBy === 1 ? "" : ` (one of ${sharedBy} messages in one packet)`;
  return `${sighting.length} bytes: UDP ${source} > ${destination}, ${message.kind}${receiver}${counter}${shared}`;
}

function describeMessage({ number, direction, carrier }: LoneMessage): string[] {
  return [
    `${number}  ${direction}  ${timeOf(carrier.sighting)}  ${carrier.sighting.device}, ${describeCarrier(carrier)}`,
  ];
}

function describeEnd({ seconds, points, shown, passedOver, matched, pcap }: TraceSummary): string[] {
  return [
    `${seconds.toFixed(1)} s; ${shown} ${shown === 1 ? "packet" : "packets"} shown, ${matched} of them with their message; ${passedOver} passed over`,
    ...points.map(
      ({ side, device, seen, dropped }) =>
        `${side}, ${device}: ${seen} seen, ${dropped} of them not captured for want of room`,
    ),
    ...(pcap === undefined
      ? []
      : [`${pcap.file}: ${pcap.packets} ${pcap.packets === 1 ? "packet" : "packets"}, ${pcap.bytes} bytes`]),
  ];
}

/** The first bytes, and how many there are more; those of headers before `from` are on a line of their own. */
function bytesOf({ bytes, length }: Sighting, from: number): string[] {
  const shown = bytes.subarray(0, mostShown);
  const parts = from === 0 ? [shown] : [shown.subarray(0, from), shown.subarray(from)];
  const rest = length - shown.length;
  return [
    ...parts.flatMap((part) => hexLines(toHex(part), bytesPerLine)),
    ...(rest > 0 ? [`      and ${rest} bytes more`] : []),
  ];
}

/** The time of day, UTC, to the microsecond. */
function timeOf({ at }: Sighting): string {
  const micros = Math.floor((at % 1) * 1000);
  return `${new Date(at).toISOString().slice(11, 23)}${String(micros).padStart(3, "0")}`;
}
