/**
 * Asks a peer over a way that is not in use whether it hears us there: by an initiation, the one message that every
 * WireGuard answers at once, and to where it came from. The answer is checked and its keys are thrown away: the session
 * goes on with those it has. The peer for its part is left with a keypair that nobody uses, and replaces it in time.
 */
import type { Endpoint } from "../base/address.ts";
import type { DropReason } from "../base/errors.ts";
import type { Milliseconds } from "./constants.ts";
import type { Exchange, ExchangeOwner, PendingInitiation } from "./exchange.ts";
import { Response, readUint32 } from "./messages.ts";

type InitiationSource = Pick<Exchange<ExchangeOwner>, "begin">;

interface Probe {
  readonly pending: PendingInitiation;
  readonly endpoint: Endpoint;
  readonly sentAt: Milliseconds;
}

export interface ProbeAnswer {
  readonly endpoint: Endpoint;
  readonly roundTripMs: Milliseconds;
}

/** Those that were not answered, oldest first, make room for others. */
const mostPending = 4;

export class PathProbes {
  readonly #exchange: InitiationSource;
  #probes: Probe[] = [];

  constructor(exchange: InitiationSource) {
    this.#exchange = exchange;
  }

  /** The message to send there; `undefined` where we have no key. */
  begin(now: Milliseconds, endpoint: Endpoint): Uint8Array | undefined {
    const begun = this.#exchange.begin(now);
    if (begun === undefined) return undefined;
    this.#probes.push({ pending: begun.pending, endpoint, sentAt: now });
    if (this.#probes.length > mostPending) this.#probes.shift()?.pending.abandon();
    return begun.message;
  }

  /** Whether a response answers one of these. */
  owns(message: Uint8Array): boolean {
    const index = readUint32(message, Response.receiver);
    return this.#probes.some(({ pending }) => pending.localIndex === index);
  }

  /** Takes the response to one of these. One that is not authentic changes nothing. */
  take(now: Milliseconds, message: Uint8Array): ProbeAnswer | DropReason {
    const index = readUint32(message, Response.receiver);
    const probe = this.#probes.find(({ pending }) => pending.localIndex === index);
    if (probe === undefined) return "handshake-unexpected";
    if (!probe.pending.isAnsweredBy(message)) return "handshake-undecryptable";
    this.#probes = this.#probes.filter((other) => other !== probe);
    probe.pending.abandon();
    return { endpoint: probe.endpoint, roundTripMs: now - probe.sentAt };
  }

  /** Forgets them all and wipes their secrets. */
  reset(): void {
    for (const { pending } of this.#probes) pending.abandon();
    this.#probes = [];
  }
}
