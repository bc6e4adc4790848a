/**
 * Who may move a peer's endpoint. WireGuard follows whoever sent the last authenticated message (whitepaper §2.1). Where
 * a peer has several ways, and what is sent to it is to take a chosen one, late messages that come by another must not
 * undo the choice.
 */
import type { Endpoint } from "../base/address.ts";

/**
 * `none`: every authenticated message moves it. `network`: those do that come by UDP, and none that a stream has carried.
 * `all`: none does.
 */
export const endpointHolds = ["none", "network", "all"] as const;
export type EndpointHold = (typeof endpointHolds)[number];

/** What a message from `source` leaves the endpoint at, `undefined` where it moves it. The same place may always tell how it is reached. */
export function keptEndpoint(
  hold: EndpointHold,
  endpoint: Endpoint | undefined,
  source: Endpoint,
): Endpoint | undefined {
  if (hold === "none" || endpoint === undefined || endpoint.equals(source)) return undefined;
  return hold === "all" || source.carriage !== undefined ? endpoint : undefined;
}
