/**
 * Resident memory of one end by the number of its peers: configured and silent, and with a live session each, which a
 * handshake and a keepalive have made. The slope is what one peer adds from 1,000 to 10,000.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Responder } from "../responder.ts";
import type { Site, Target, Workload } from "../workload.ts";

const [few, many] = [1000, 10_000];
/** What a rush leaves behind is no part of what a peer costs: heaps are swept and shrink when nothing happens. */
const restMs = 10_000;
const shortRestMs = 3000;
/** A peer's second handshake would come sooner than 20 ms after its first if one scene had fewer initiators. */
const atOnce = 1000;

const memory = { unit: "MB", better: "less", digits: 0 } as const;
const slope = { unit: "bytes", better: "less", digits: 0 } as const;
const atMost = (bound: number): Target => ({ of: "value", bound });

export const footprint: Workload = {
  name: "memory",
  outside: 4,
  figures: [
    { ...memory, name: "memory-1" },
    { ...memory, name: "memory-1000" },
    { ...memory, name: "memory-10000" },
    { ...slope, name: "memory-per-peer", target: atMost(2048) },
  ],
  takes: ({ wireguard }) => wireguard !== undefined,
  async measure(site) {
    const responder = await Responder.start(site, many);
    const at = async (count: number): Promise<number> => {
      await responder.know(count);
      return atRest(responder, site);
    };
    const values = [await at(1), await at(few), await at(many)];
    return {
      "memory-1": values[0] / 1e6,
      "memory-1000": values[1] / 1e6,
      "memory-10000": values[2] / 1e6,
      "memory-per-peer": (values[2] - values[1]) / (many - few),
    };
  },
};

export const liveFootprint: Workload = {
  name: "memory-live",
  outside: 4,
  figures: [
    { ...memory, name: "memory-live-1000" },
    { ...memory, name: "memory-live-10000" },
    { ...slope, name: "memory-per-live-peer", target: atMost(4608) },
  ],
  takes: ({ wireguard }) => wireguard !== undefined,
  async measure(site) {
    const responder = await Responder.start(site, many);
    let live = 0;
    const at = async (count: number): Promise<number> => {
      await responder.know(count);
      for (; live < count; live += atOnce) {
        const scene = { first: live, last: live + atOnce, initiations: atOnce, milliseconds: 30_000 };
        await responder.perform({ ...scene, completes: true });
      }
      return atRest(responder, site);
    };
    const values = [await at(few), await at(many)];
    return {
      "memory-live-1000": values[0] / 1e6,
      "memory-live-10000": values[1] / 1e6,
      "memory-per-live-peer": (values[1] - values[0]) / (many - few),
    };
  },
};

/** In bytes, when what configuring has set going has come to rest. */
async function atRest(responder: Responder, { isQuick, signal }: Site): Promise<number> {
  await delay(isQuick ? shortRestMs : restMs, undefined, { signal });
  return responder.residentBytes();
}
