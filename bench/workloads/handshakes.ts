/**
 * Handshakes a second that one responder answers: 500 initiators, 32 initiations in flight. The time of the first few
 * hundred is not counted.
 */
import { Responder } from "../responder.ts";
import type { Workload } from "../workload.ts";

const initiators = 500;
const warmUp = 300;
/** More than anybody answers in a second on a core or two; initiations are made beforehand, at a sixth of a millisecond. */
const perSecond = 9000;

export const handshakes: Workload = {
  name: "handshakes",
  outside: 4,
  figures: [
    { name: "handshakes", unit: "1/s", better: "more", digits: 0, target: { of: "ratio", bound: 1 } },
    { name: "handshakes-cpu", unit: "CPU ms", better: "less", digits: 2 },
  ],
  takes: ({ wireguard }) => wireguard !== undefined,
  async measure(site) {
    const responder = await Responder.start(site, initiators);
    await responder.know(initiators);
    const seconds = site.isQuick ? 1 : Math.min(site.seconds, 3);
    const scene = { first: 0, last: initiators, milliseconds: 1000 * seconds, completes: false };
    await responder.perform({ ...scene, initiations: warmUp, milliseconds: 10_000 });
    const before = responder.cpuSeconds();
    const { answered, seconds: passed } = await responder.perform({ ...scene, initiations: perSecond * seconds });
    const spent = responder.cpuSeconds() - before;
    return { handshakes: answered / passed, "handshakes-cpu": (1000 * spent) / answered };
  },
};
