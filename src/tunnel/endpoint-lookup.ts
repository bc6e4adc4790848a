/** From a host name to an address, once, when a tunnel starts. */
import { lookup } from "node:dns/promises";
import { Endpoint, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import type { EndpointName } from "./peer-section.ts";

/** Asks the system's resolver; an address needs no asking. Throws `not-available` if the name leads nowhere. */
export async function lookUpEndpoint({ host, port }: EndpointName): Promise<Endpoint> {
  try {
    const { address } = await lookup(host);
    return new Endpoint(IpAddress.parse(address), port);
  } catch (error) {
    throw new VpnError("not-available", `the endpoint's host ${JSON.stringify(host)} was not found`, {
      remedy: "check the name and this machine's DNS, or write an address",
      cause: error,
    });
  }
}
