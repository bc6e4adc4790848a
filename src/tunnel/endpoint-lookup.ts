/** From an endpoint as it is written to where it is: an address as it stands, a name by asking. */
import { lookup } from "node:dns/promises";
import { Endpoint, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import type { EndpointName } from "./peer-section.ts";

/** Who is asked for a name: the addresses of a host, the preferred one first, or none. */
export interface HostLookup {
  lookUp(host: string): Promise<readonly IpAddress[]>;
}

/** The machine's own way of looking names up. */
export const systemLookup: HostLookup = {
  async lookUp(host) {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => IpAddress.parse(address));
  },
};

/** Throws `not-available` if the name leads nowhere, or the interface that an address names is not there. */
export async function lookUpEndpoint(
  { host, port }: EndpointName,
  hosts: HostLookup = systemLookup,
): Promise<Endpoint> {
  const [address, interfaceName] = host.split("%");
  if (isAddress(host)) {
    return new Endpoint(IpAddress.parse(address), port, interfaceName === undefined ? 0 : scopeOf(interfaceName));
  }
  const [found] = await hosts.lookUp(host).catch((error: unknown) => {
    throw notFound(host, error);
  });
  if (found === undefined) throw notFound(host, undefined);
  return new Endpoint(found, port);
}

/** Whether an endpoint's host needs no asking. */
export function isAddress(host: string): boolean {
  return /^[0-9.]+$/.test(host) || host.includes(":");
}

function notFound(host: string, cause: unknown): VpnError {
  return new VpnError("not-available", `the endpoint's host ${JSON.stringify(host)} was not found`, {
    remedy: "check the name and this machine's DNS, or write an address",
    cause,
  });
}

function scopeOf(interfaceName: string): number {
  using config = InterfaceConfig.open();
  const link = config.links.find(interfaceName);
  if (link !== undefined) return link.index;
  throw new VpnError("not-available", `there is no interface ${interfaceName}, which an endpoint names`, {
    remedy: "check the name after the % sign",
  });
}
