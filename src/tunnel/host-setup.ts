/**
 * What `Tunnel.open` is to do to the host around its interface: MTU, addresses, routes, and forwarding where asked for.
 */
import type { Cidr } from "../base/address.ts";
import { Forwarding } from "./forwarding.ts";
import { setUpInterface } from "./interface-setup.ts";
import { defaultMtu, type TunnelOptions, type TunnelPeerOptions } from "./tunnel.ts";

export interface HostSetupOptions {
  readonly mtu?: number | undefined;
  readonly addresses?: readonly Cidr[];
  /** The tunnel's: their allowed IPs may get routes, their endpoints may not lie behind those. */
  readonly peers?: readonly Pick<TunnelPeerOptions, "allowedIps" | "endpoint">[];
  /** Whether every allowed IP gets a route into the tunnel. */
  readonly routeAllowedIps?: boolean;
  /** The tunnel's firewall mark. */
  readonly mark?: number | undefined;
  /** Forward what peers send, hidden behind this machine's own addresses. */
  readonly forward?: boolean;
}

/** The `setUp` of a tunnel. */
export function hostSetup(options: HostSetupOptions): NonNullable<TunnelOptions["setUp"]> {
  const { mtu = defaultMtu, addresses = [], peers = [], routeAllowedIps = false, mark, forward = false } = options;
  const routes = routeAllowedIps ? peers.flatMap((peer) => peer.allowedIps) : [];
  const endpoints = peers.flatMap(({ endpoint }) => endpoint?.address ?? []);
  return ({ index, name }) => {
    setUpInterface({ index, name, mtu, addresses, routes, endpoints, mark });
    return forward ? Forwarding.enable(name, addresses) : undefined;
  };
}
