/** A port that takes streams, from the URL that names it: `tcp://192.0.2.1:443`, `any://*:443/path`. */
import { existsSync } from "node:fs";
import { Endpoint, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import type { StreamKind } from "./stream-listener.ts";
import type { Scheme, TransportUrl } from "./transport-url.ts";

/** A port to listen on. */
export interface RelayPort {
  readonly local: Endpoint;
  readonly accepts: ReadonlySet<StreamKind>;
  /** Of the WebSocket. */
  readonly path: string;
}

const kinds: Readonly<Record<Exclude<Scheme, "udp">, readonly StreamKind[]>> = {
  tcp: ["tcp"],
  tls: ["tls"],
  ws: ["ws"],
  wss: ["wss"],
  any: ["tcp", "tls", "ws", "wss"],
};

/** What a URL says to listen on: `*` is all addresses of both families. Throws `invalid-argument`. */
export function relayPorts(url: TransportUrl): RelayPort[] {
  const { scheme, host, port, path, address } = url;
  if (scheme === "udp") throw usage("both ends are UDP", "listen on tcp, tls, ws, wss or any");
  if (host !== "*" && address === undefined) {
    throw usage(`${url} names no address of this machine`, "write one, such as 127.0.0.1");
  }
  const addresses = address === undefined ? everywhere() : [address];
  return addresses.map((each) => ({ local: new Endpoint(each, port), accepts: new Set(kinds[scheme]), path }));
}

/** A kernel without IPv6 has no such file, and no such sockets. */
function everywhere(): IpAddress[] {
  const families = existsSync("/proc/net/if_inet6") ? ["0.0.0.0", "::"] : ["0.0.0.0"];
  return families.map((text) => IpAddress.parse(text));
}

function usage(message: string, remedy: string): VpnError {
  return new VpnError("invalid-argument", message, { remedy });
}
