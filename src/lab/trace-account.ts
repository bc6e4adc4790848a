/** A trace for a reader: each place with its bytes there and what changed on the way. Pure. */
import { describeChange } from "../packet/difference.ts";
import type { Wrapping } from "./carriers.ts";
import { hexLines } from "./packet-account.ts";
import type { Account, StagePlan } from "./stage.ts";
import type { RouteAnswer, TracePoint, TraceSteps } from "./trace-record.ts";

const bytesPerLine = 32;

export const traceAccounts: StagePlan<TraceSteps>["accounts"] = {
  request: ({ points }) => account("one ping, from the program to its destination", "ten there", points),
  reply: ({ points }) => account("and its reply, all the way back", "nine back", points),
};

function account(what: string, steps: string, points: readonly TracePoint[]): Account {
  return {
    summary: `${what}: ${points.length} places`,
    evidence: [
      `in brackets: the step of the ${steps} that docs/tutorial/03-framing.md lists`,
      ...points.flatMap(describePoint),
    ],
  };
}

function describePoint(point: TracePoint): string[] {
  const { step, host, place, device, direction, bytes, route, wrapping, seed } = point;
  const where = device === null ? "" : `, ${device} ${direction}`;
  const size = bytes === null ? "" : `, ${bytes.length / 2} bytes`;
  const marks = seed.length === 0 ? "" : `  (step ${seed.join(", ")})`;
  return [
    `${String(step).padStart(2)}  ${host}: ${place}${where}${size}${marks}`,
    ...[
      ...(route === null ? [] : [describeRoute(route)]),
      ...(wrapping === null ? [] : describeWrapping(wrapping)),
      ...describeBytes(point),
    ].map((line) => `    ${line}`),
  ];
}

/** Of bytes that were seen before, what is not as it was: headers, unless the payload changed as well. */
function describeBytes({ bytes, fields, since, changes }: TracePoint): string[] {
  if (bytes === null) return [];
  if (since === null) return hexLines(bytes, bytesPerLine);
  if (changes.length === 0) return [`the same bytes as at ${since}`];
  const payload = fields.find(({ layer }) => layer === "payload");
  const isSame = payload !== undefined && changes.every(({ layer }) => layer !== "payload");
  return [
    ...hexLines(isSame ? bytes.slice(0, payload.offset * 2) : bytes, bytesPerLine),
    ...(isSame ? [`      and its payload of ${payload.bytes.length / 2} bytes as at ${since}`] : []),
    ...changes.map(describeChange),
  ];
}

/** Such as `8.8.8.8 matches 8.8.8.8/32, prefix length 32: dev wg0, source 10.8.0.2`. */
export function describeRoute({ asked, destination, prefix, via, device, source }: RouteAnswer): string {
  const how = via === null ? "" : ` via ${via}`;
  return `${asked} matches ${destination}, prefix length ${prefix}: dev ${device}${how}, source ${source ?? "none"}`;
}

function describeWrapping(wrapping: Wrapping): string[] {
  if (wrapping.kind === "xored") {
    const { packetBytes, streamBytes, key } = wrapping;
    const hex = `0x${key.toString(16).padStart(2, "0")}`;
    return [
      `${packetBytes} bytes of packet, ${streamBytes} bytes of TCP stream: each byte XOR ${hex}, and nothing around them`,
    ];
  }
  const { type, receiver, counter, packetBytes, paddingBytes, headerBytes, tagBytes, messageBytes } = wrapping;
  return [
    `message of type ${type}, receiver 0x${receiver.toString(16).padStart(8, "0")}, counter ${counter}`,
    `${headerBytes} header + ${packetBytes} packet + ${paddingBytes} padding + ${tagBytes} tag = ${messageBytes} bytes; the ping's payload shows in none`,
  ];
}
