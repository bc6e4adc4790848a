/** The points of a trace as they are found, each compared with the one that it came from. */
import { toHex } from "../base/bytes.ts";
import { comparePackets } from "../packet/difference.ts";
import { dissect } from "../packet/dissection.ts";
import type { Wrapping } from "./carriers.ts";
import { recordPacket } from "./packet-account.ts";
import type { HostName } from "./topology.ts";
import type { RouteAnswer, TracePoint } from "./trace-record.ts";

/** Bytes with what their first byte is of: a program gives its socket no IP header. */
export interface Sighting {
  readonly bytes: Uint8Array;
  readonly start?: "packet" | "ICMP";
}

export interface NewPoint {
  readonly seed: readonly number[];
  readonly host: HostName;
  readonly place: string;
  readonly device?: string;
  readonly direction?: "in" | "out";
  readonly sighting?: Sighting;
  readonly route?: RouteAnswer;
  readonly wrapping?: Wrapping;
  /** The number of the step to compare with, which has a sighting. */
  readonly since?: number;
}

export class Trail {
  readonly #points: TracePoint[] = [];
  readonly #sightings: (Sighting | undefined)[] = [];

  /** Adds a point and returns its number; the first is 1. */
  add({ seed, host, place, device, direction, sighting, route, wrapping, since }: NewPoint): number {
    const step = this.#points.length + 1;
    const former = since === undefined ? undefined : this.#sightings[since - 1];
    this.#sightings.push(sighting);
    this.#points.push({
      step,
      seed,
      host,
      place,
      device: device ?? null,
      direction: direction ?? null,
      bytes: sighting === undefined ? null : toHex(sighting.bytes),
      fields: sighting === undefined ? [] : recordPacket(sighting.bytes, sighting.start).fields,
      route: route ?? null,
      wrapping: wrapping ?? null,
      since: since ?? null,
      changes:
        former === undefined || sighting === undefined ? [] : comparePackets(fieldsOf(former), fieldsOf(sighting)),
    });
    return step;
  }

  /** Those from a number on. */
  pointsFrom(step: number): readonly TracePoint[] {
    return this.#points.slice(step - 1);
  }

  get last(): number {
    return this.#points.length;
  }
}

function fieldsOf({ bytes, start }: Sighting): ReturnType<typeof dissect> {
  return dissect(bytes, start);
}
