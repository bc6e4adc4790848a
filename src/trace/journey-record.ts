/** The events of a trace as JSON, stable across releases (docs/trace.md): bytes in hexadecimal, times in ISO 8601. Pure. */
import { toHex } from "../base/bytes.ts";
import { Data } from "../wireguard/messages.ts";
import type { Carrier, Journey, Sighting, TraceEvent } from "./journey.ts";

export function encodeEvent(event: TraceEvent): Readonly<Record<string, unknown>> {
  switch (event.kind) {
    case "begin":
      return { event: event.kind, device: event.device };
    case "packet":
      return encodeJourney(event);
    case "message": {
      const { kind, number, direction, carrier } = event;
      return { event: kind, number, direction, outside: encodeCarrier(carrier) };
    }
    case "end": {
      const { kind, ...summary } = event;
      return { event: kind, ...summary, pcap: summary.pcap ?? null };
    }
  }
}

function encodeJourney(journey: Journey): Readonly<Record<string, unknown>> {
  const { number, direction, title, inside, fields, route, peer, carrier, candidates, answers, isSuperPacket } =
    journey;
  return {
    event: "packet",
    number,
    direction,
    title,
    inside: {
      ...encodeSighting(inside),
      fields: fields.map(({ bytes, ...field }) => ({ ...field, bytes: toHex(bytes) })),
    },
    superPacket: isSuperPacket,
    route: route ?? null,
    peer: peer === undefined ? null : { ...peer, endpoint: peer.endpoint ?? null },
    outside:
      carrier === undefined
        ? null
        : {
            ...encodeCarrier(carrier),
            afterMs: carrier.sighting.at - inside.at,
            paddingBytes: carrier.message.length - Data.overhead - inside.length,
            candidates,
          },
    answers: answers ?? null,
  };
}

function encodeCarrier({ sighting, source, destination, message, sharedBy }: Carrier) {
  const { kind, length, receiver, counter } = message;
  return {
    ...encodeSighting(sighting),
    source,
    destination,
    message: { kind, length, receiver: receiver ?? null, counter: counter ?? null },
    sharedBy,
  };
}

function encodeSighting({ device, at, bytes, length }: Sighting) {
  return { device, time: timeOf(at), length, bytes: toHex(bytes) };
}

/** To the microsecond. */
function timeOf(at: number): string {
  const micros = Math.floor((at % 1) * 1000);
  return new Date(at).toISOString().replace("Z", `${String(micros).padStart(3, "0")}Z`);
}
