/** What the steps of the stage `mtu` find out, and how they read. Pure. */
import type { TunnelStart } from "../record.ts";
import type { Account, StagePlan } from "../stage.ts";
import type { MeteredStream } from "../stream-meter.ts";
import type { Latency, SizedOutcome } from "../udp-probes.ts";

/** An IPv4 packet that passed an interface: as little as matters here. */
export interface PassedPacket {
  readonly where: string;
  readonly source: string;
  readonly destination: string;
  readonly bytes: number;
  /** Whether routers must not fragment it. */
  readonly whole: boolean;
  /** Of a fragment: where its bytes belong, and whether more follow; `null` of a whole packet. */
  readonly fragment: { readonly offset: number; readonly more: boolean } | null;
  /** Of an ICMP "fragmentation needed": the next link's MTU. */
  readonly nextMtu: number | null;
}

/** A TCP stream through a tunnel, and probes beside it. */
export interface LoadedTunnel extends MeteredStream {
  readonly idle: Latency;
  readonly loaded: Latency;
  /** Segments of the TCP in the tunnel, and those of them that brought nothing new. */
  readonly inner: { readonly segments: number; readonly repeated: number };
  /** The same of the TCP that carries the tunnel; `null` where that is UDP. */
  readonly outer: { readonly segments: number; readonly repeated: number } | null;
}

interface SizedStep {
  readonly outcomes: readonly SizedOutcome[];
  readonly packets: readonly PassedPacket[];
}

/** In the order of the steps. */
export type MtuSteps = {
  tunnel: TunnelStart;
  fits: { readonly pairs: readonly { readonly inner: number; readonly outer: number }[] };
  refused: SizedStep;
  fragments: SizedStep;
  narrow: SizedStep & { readonly mtu: number };
  link: { readonly delayMs: number; readonly megabitsPerSecond: number; readonly lossPercent: number };
  udp: LoadedTunnel;
  tcp: LoadedTunnel & { readonly times: number };
};

export const mtuAccounts: StagePlan<MtuSteps>["accounts"] = {
  tunnel: ({ mtu }) => ({ summary: `a WireGuard tunnel, MTU ${mtu}, over links of MTU 1500` }),
  fits: ({ pairs }) => ({
    summary: "packets that fit, on the client's wg0 and on the cable",
    evidence: pairs.map(({ inner, outer }) => `${inner} bytes become ${outer}: ${outer - inner} more`),
  }),
  refused: sized("one byte more, not to be fragmented"),
  fragments: sized("one byte more, and the kernel may fragment it"),
  narrow: ({ mtu, ...step }) => sized(`the home router's way out now has an MTU of ${mtu}`)(step),
  link: ({ delayMs, megabitsPerSecond, lossPercent }) => ({
    summary: `the way to the server is now ${delayMs} ms long, carries ${megabitsPerSecond} Mbit/s and loses ${lossPercent} % of packets`,
  }),
  udp: (tunnel) => loaded("WireGuard, TCP in UDP", tunnel),
  tcp: ({ times, ...tunnel }) => {
    const { summary, evidence = [] } = loaded("classic, TCP in TCP", tunnel);
    return {
      summary,
      evidence: [...evidence, `a packet beside the stream takes ${times} times as long as in WireGuard`],
    };
  },
};

function sized(what: string): (step: SizedStep) => Account {
  return ({ outcomes, packets }) => ({
    summary: what,
    evidence: [
      ...outcomes.map(
        ({ length, outcome, mtu }, i) =>
          `${length} bytes${outcomes[i - 1]?.length === length ? ", second attempt" : ""}: ${outcome}; the program is told an MTU of ${mtu}`,
      ),
      ...packets.map(describe),
    ],
  });
}

function describe({ where, source, destination, bytes, whole, fragment, nextMtu }: PassedPacket): string {
  const kind =
    nextMtu !== null
      ? `ICMP: fragmentation needed, MTU ${nextMtu}`
      : fragment !== null
        ? `fragment at ${fragment.offset}${fragment.more ? ", more follow" : ", the last"}`
        : whole
          ? "don't fragment"
          : "may be fragmented";
  return `${where.padEnd(12)} ${source} to ${destination}, ${bytes} bytes, ${kind}`;
}

function loaded(
  what: string,
  { megabitsPerSecond, idle, loaded: full, inner, outer }: Omit<LoadedTunnel, "seconds" | "bytes">,
): Account {
  return {
    summary: `${what}: ${megabitsPerSecond} Mbit/s in one stream`,
    evidence: [
      `a packet beside it takes ${full.median} ms there and back (median; ${full.worst} at worst), ${idle.median} ms without the stream`,
      `the TCP inside sent ${inner.segments} segments, ${inner.repeated} of them again`,
      outer === null
        ? "the UDP outside repeats nothing"
        : `the TCP outside sent ${outer.segments} segments, ${outer.repeated} of them again`,
    ],
  };
}
