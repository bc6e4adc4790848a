/**
 * UDP of one payload size, sent and counted by programs of our own (`programs/`), one datagram a packet. First the
 * delivered rate under overload: the sender sends as fast as it can. Then the highest rate of which no more than 0.1% is
 * lost, looked for from there in steps of a quarter, and between the last two of those by halving. A rate that failed
 * once gets a second chance, since a neighbour on the machine can lose packets, too.
 */
import { fileURLToPath } from "node:url";
import { Program } from "../program.ts";
import type { Blast, Blasted } from "../programs/blaster.ts";
import type { Catch, Caught } from "../programs/sink.ts";
import { openTunnel, type Site, type Target, type Workload } from "../workload.ts";

export const lossAllowed = 0.001;

const port = 5301;
const step = 1.25;
const halvings = { quick: 1, thorough: 3 } as const;
/** So that a search ends, whatever the machine does. */
const mostTrials = 16;

const programPath = (name: string): string => fileURLToPath(new URL(`../programs/${name}.ts`, import.meta.url));

export interface UdpWorkloadOptions {
  readonly size: number;
  readonly losslessTarget?: Target;
  readonly overloadTarget?: Target;
}

export function udpWorkload({ size, losslessTarget, overloadTarget }: UdpWorkloadOptions): Workload {
  const name = `udp-${size}`;
  const figure = { unit: "packets/s", better: "more", digits: 0 } as const;
  return {
    name,
    outside: 4,
    figures: [
      {
        ...figure,
        name: `${name}-lossless`,
        ...(losslessTarget === undefined ? {} : { target: losslessTarget }),
      },
      {
        ...figure,
        name: `${name}-overload`,
        ...(overloadTarget === undefined ? {} : { target: overloadTarget }),
      },
      { ...figure, name: `${name}-offered` },
    ],
    async measure(site) {
      await openTunnel(site);
      const load = await UdpLoad.start(site, size);
      const { isQuick } = site;
      const overloadMs = isQuick ? 700 : 1000 * site.seconds;
      await load.run(isQuick ? 300 : 1000, 20_000); // code is compiled
      const overload = await load.run(overloadMs, 0);
      const trialMs = isQuick ? 350 : 1000;
      const lossless = await search(overload.delivered, isQuick ? halvings.quick : halvings.thorough, (rate) =>
        load.run(trialMs, rate),
      );
      return {
        [`${name}-lossless`]: lossless,
        [`${name}-overload`]: overload.delivered,
        [`${name}-offered`]: overload.offered,
      };
    },
  };
}

/** What one blast gave, in datagrams a second. */
export interface UdpRun {
  readonly offered: number;
  /** What came within the blast's time. */
  readonly delivered: number;
  /** Share of what was sent that never came. */
  readonly loss: number;
}

/** The highest rate found that was carried without loss; 0 where even a thousandth of the start was not. */
export async function search(start: number, halvings: number, run: (rate: number) => Promise<UdpRun>): Promise<number> {
  let trials = 0;
  const attempt = async (rate: number): Promise<number | undefined> => {
    for (let chance = 0; chance < 2 && trials < mostTrials; chance++) {
      trials++;
      const { offered, loss } = await run(rate);
      if (loss <= lossAllowed) return offered;
    }
    return undefined;
  };
  let carried = await attempt(start);
  let low = start;
  let high = start;
  if (carried !== undefined) {
    for (high *= step; trials < mostTrials; high *= step) {
      const next = await attempt(high);
      if (next === undefined) break;
      // The sender is at its limit: to ask it for more changes nothing.
      if (next < 1.03 * carried) return Math.max(next, carried);
      [low, carried] = [high, next];
    }
  } else {
    while (carried === undefined && trials < mostTrials && low > start / 1000) {
      high = low;
      low /= step;
      carried = await attempt(low);
    }
  }
  for (let i = 0; i < halvings && carried !== undefined && trials < mostTrials; i++) {
    const middle = Math.sqrt(low * high);
    const found = await attempt(middle);
    if (found === undefined) high = middle;
    else [low, carried] = [middle, found];
  }
  return carried ?? 0;
}

class UdpLoad {
  readonly #blaster: Program;
  readonly #sink: Program;
  #number = 0;

  static async start({ hosts, resources, signal }: Site, size: number): Promise<UdpLoad> {
    const { a, b } = hosts;
    const to = `${b.v4.address}:${port}`;
    const start = (host: typeof a, program: string, ...parameters: string[]): Program =>
      resources.use(new Program(host.namespace, [process.execPath, programPath(program), ...parameters], signal));
    const load = new UdpLoad(start(a, "blaster", to, String(size)), start(b, "sink", to));
    await load.run(50, 1000).catch(() => undefined); // both are there when it has come back
    return load;
  }

  private constructor(blaster: Program, sink: Program) {
    this.#blaster = blaster;
    this.#sink = sink;
  }

  /** Sends for so long, `rate` datagrams a second or, for 0, as many as can be. */
  async run(milliseconds: number, rate: number): Promise<UdpRun> {
    const number = ++this.#number;
    this.#sink.write(JSON.stringify({ number, milliseconds } satisfies Catch));
    await this.#sink.line();
    this.#blaster.write(JSON.stringify({ number, milliseconds, rate } satisfies Blast));
    const { sent } = JSON.parse(await this.#blaster.line()) as Blasted;
    const { received, inTime } = JSON.parse(await this.#sink.line()) as Caught;
    const seconds = milliseconds / 1000;
    return { offered: sent / seconds, delivered: inTime / seconds, loss: 1 - received / sent };
  }
}
