/** Routes through rtnetlink: what `ip route` does, and which route the kernel would choose. */
import { type AddressFamily, Cidr, IpAddress } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";
import type { NetlinkSocket } from "./netlink.ts";
import {
  attribute,
  decodeAttributes,
  MessageFlag,
  type NetlinkMessage,
  readU32,
  u32,
  viewOf,
} from "./netlink-message.ts";
import { AF_INET, AF_INET6 } from "./sockaddr.ts";
import { Errno, SystemError, type SystemErrorOptions } from "./system-error.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

/** struct rtmsg. */
const RouteBody = {
  size: 12,
  family: 0,
  prefix: 1,
  sourcePrefix: 2,
  table: 4,
  protocol: 5,
  scope: 6,
  kind: 7,
  flags: 8,
} as const;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_IIF = 3;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
const RTA_MARK = 16;
const RTAX_MTU = 2;

const EXDEV = 18; // the answer of rp_filter
const RTNH_F_ONLINK = 0x4;
const RTM_F_CLONED = 0x200; // an exception learnt about one destination, such as its path MTU
const RTM_F_LOOKUP_TABLE = 0x1000;
const RTM_F_FIB_MATCH = 0x2000;
const RT_TABLE_COMPAT = 252; // stands for a table number above 255, which is in RTA_TABLE
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;

/** What becomes of a packet that the route is for. The position is the kernel's number (RTN_*). */
const kinds = [
  "unspecified",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
] as const;
export type RouteKind = (typeof kinds)[number] | "other";

/** The table that routes are put into unless another is named. */
export const mainTable = 254;
/** The kernel's own: what is meant for this machine. */
export const localTable = 255;

export interface Route {
  readonly destination: Cidr;
  /** `unicast` unless said otherwise. */
  readonly kind?: RouteKind | undefined;
  /** `mainTable` unless said otherwise. */
  readonly table?: number | undefined;
  /** The gateway, of the destination's family. */
  readonly via?: IpAddress | undefined;
  /** The index of the interface to leave by. */
  readonly device?: number | undefined;
  /** Of routes to the same destination the lowest metric is taken. */
  readonly metric?: number | undefined;
  /** The source address of what this machine itself sends. */
  readonly source?: IpAddress | undefined;
  readonly mtu?: number | undefined;
  /** The gateway is on the link although no address says so. */
  readonly onLink?: boolean | undefined;
}

/** The outcome of a look-up. */
export interface RouteChoice {
  /** The entry of the table that was chosen, as `list` has it. */
  readonly route: Route;
  /** The source address that a socket bound to none would get. */
  readonly source: IpAddress | undefined;
}

export class Routes {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** All routes, or those of one family or table, in the kernel's order. */
  list(filter: { readonly family?: AddressFamily; readonly table?: number } = {}): Route[] {
    const body = new Uint8Array(RouteBody.size);
    body[RouteBody.family] = filter.family === undefined ? 0 : kernelFamily(filter.family);
    return this.#socket
      .dump({ type: RTM_GETROUTE, name: "RTM_GETROUTE", body })
      .flatMap((message) => decodeRoute(message) ?? [])
      .filter((route) => filter.table === undefined || route.table === filter.table);
  }

  /** Throws where such a route is there already. */
  add(route: Route): void {
    this.#request(RTM_NEWROUTE, "RTM_NEWROUTE", MessageFlag.create | MessageFlag.exclusive, route);
  }

  /** Adds the route, or changes the one of this destination, table and metric. */
  replace(route: Route): void {
    this.#request(RTM_NEWROUTE, "RTM_NEWROUTE", MessageFlag.create | MessageFlag.replace, route);
  }

  /** Whether it was there to remove. What `route` leaves out matches anything, but for the table. */
  remove(route: Route): boolean {
    try {
      this.#request(RTM_DELROUTE, "RTM_DELROUTE", 0, route);
      return true;
    } catch (error) {
      const gone = [Errno.ESRCH, Errno.ENODEV] as readonly number[];
      if (error instanceof SystemError && gone.includes(error.errno)) return false;
      throw error;
    }
  }

  /** What the kernel would choose, for a packet with this firewall mark; `undefined` where it has no route. */
  lookup(destination: IpAddress, mark = 0): RouteChoice | undefined {
    try {
      const route = this.#lookup(destination, mark, RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH);
      return route && { route, source: this.#lookup(destination, mark, RTM_F_LOOKUP_TABLE)?.source };
    } catch (error) {
      const none = [Errno.ENETUNREACH, Errno.EHOSTUNREACH] as readonly number[];
      if (error instanceof SystemError && none.includes(error.errno)) return undefined;
      throw error;
    }
  }

  /**
   * The entry that the kernel would choose for a packet that has come in by an interface, to be forwarded or to stay;
   * `undefined` where it would refuse the packet: for want of a route, or because of where it says it is from.
   */
  lookupIncoming(destination: IpAddress, source: IpAddress, device: number): Route | undefined {
    const body = new Uint8Array(RouteBody.size);
    body[RouteBody.family] = kernelFamily(destination.family);
    body[RouteBody.prefix] = destination.bits;
    body[RouteBody.sourcePrefix] = source.bits;
    viewOf(body).setUint32(RouteBody.flags, RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH, true);
    const attributes = [
      attribute(RTA_DST, destination.bytes),
      attribute(RTA_SRC, source.bytes),
      attribute(RTA_IIF, u32(device)),
    ];
    try {
      const answers = this.#socket.request({
        type: RTM_GETROUTE,
        name: "RTM_GETROUTE",
        body: concatBytes(body, ...attributes),
        explain: { subject: `for ${destination} from ${source}` },
      });
      return answers.map((answer) => decodeRoute(answer, true)).find((route) => route !== undefined);
    } catch (error) {
      // With IPv6 it is a route that refuses; with IPv4 an errno, EINVAL and EXDEV for a source that cannot be (fib_frontend.c).
      const refused = [Errno.ENETUNREACH, Errno.EHOSTUNREACH, Errno.EINVAL, Errno.EACCES, EXDEV] as readonly number[];
      if (error instanceof SystemError && refused.includes(error.errno)) return undefined;
      throw error;
    }
  }

  #lookup(destination: IpAddress, mark: number, flags: number): Route | undefined {
    const body = new Uint8Array(RouteBody.size);
    body[RouteBody.family] = kernelFamily(destination.family);
    body[RouteBody.prefix] = destination.bits;
    viewOf(body).setUint32(RouteBody.flags, flags, true);
    const answers = this.#socket.request({
      type: RTM_GETROUTE,
      name: "RTM_GETROUTE",
      body: concatBytes(
        body,
        attribute(RTA_DST, destination.bytes),
        ...(mark === 0 ? [] : [attribute(RTA_MARK, u32(mark))]),
      ),
      explain: { subject: `for ${destination}` },
    });
    return answers.map((answer) => decodeRoute(answer, true)).find((route) => route !== undefined);
  }

  #request(type: number, name: string, flags: number, route: Route): void {
    const body = encodeRoute(route, type === RTM_DELROUTE);
    this.#socket.request({ type, name, flags, body, explain: (errno) => explain(errno, route) });
  }
}

/**
 * The body and attributes of a route. In a removal the scope says "any", an absent kind matches every kind, and the MTU,
 * which is no part of a route's identity, is left out.
 */
export function encodeRoute(route: Route, removal = false): Uint8Array {
  const { destination, via, device, metric, source, mtu, table = mainTable } = route;
  const body = new Uint8Array(RouteBody.size);
  body[RouteBody.family] = kernelFamily(destination.family);
  body[RouteBody.prefix] = destination.prefix;
  body[RouteBody.table] = table > 255 ? RT_TABLE_COMPAT : table;
  body[RouteBody.protocol] = removal ? 0 : RTPROT_STATIC;
  body[RouteBody.scope] = removal ? RT_SCOPE_NOWHERE : scopeOf(route);
  body[RouteBody.kind] = removal && route.kind === undefined ? 0 : kindNumber(route.kind ?? "unicast");
  viewOf(body).setUint32(RouteBody.flags, route.onLink === true ? RTNH_F_ONLINK : 0, true);
  return concatBytes(
    body,
    attribute(RTA_DST, destination.network.address.bytes),
    attribute(RTA_TABLE, u32(table)),
    ...(via === undefined ? [] : [attribute(RTA_GATEWAY, via.bytes)]),
    ...(device === undefined ? [] : [attribute(RTA_OIF, u32(device))]),
    ...(metric === undefined ? [] : [attribute(RTA_PRIORITY, u32(metric))]),
    ...(source === undefined ? [] : [attribute(RTA_PREFSRC, source.bytes)]),
    ...(mtu === undefined || removal ? [] : [attribute(RTA_METRICS, [attribute(RTAX_MTU, u32(mtu))])]),
  );
}

/** Reads an RTM_NEWROUTE; `undefined` for another message and for a cached exception, unless that was asked for. */
export function decodeRoute(message: NetlinkMessage, cached = false): Route | undefined {
  if (message.type !== RTM_NEWROUTE || message.body.length < RouteBody.size) return undefined;
  const { body } = message;
  const flags = viewOf(body).getUint32(RouteBody.flags, true);
  if ((flags & RTM_F_CLONED) !== 0 && !cached) return undefined;
  const attributes = decodeAttributes(body, RouteBody.size);
  const bits = body[RouteBody.family] === AF_INET ? 32 : body[RouteBody.family] === AF_INET6 ? 128 : 0;
  if (bits === 0) return undefined;
  const destination = attributes.get(RTA_DST) ?? new Uint8Array(bits / 8);
  const metrics = attributes.get(RTA_METRICS);
  return {
    destination: new Cidr(new IpAddress(destination), body[RouteBody.prefix]),
    kind: kinds[body[RouteBody.kind]] ?? "other",
    table: readU32(attributes.get(RTA_TABLE)) ?? body[RouteBody.table],
    via: address(attributes.get(RTA_GATEWAY)),
    device: readU32(attributes.get(RTA_OIF)),
    metric: readU32(attributes.get(RTA_PRIORITY)),
    source: address(attributes.get(RTA_PREFSRC)),
    mtu: metrics && readU32(decodeAttributes(metrics).get(RTAX_MTU)),
    onLink: (flags & RTNH_F_ONLINK) !== 0 || undefined,
  };
}

/** IPv4 alone has scopes: a route without a gateway leads to the link itself. */
function scopeOf(route: Route): number {
  const direct = route.via === undefined && (route.kind ?? "unicast") === "unicast";
  return direct && route.destination.family === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

function kindNumber(kind: RouteKind): number {
  return Math.max(0, (kinds as readonly string[]).indexOf(kind));
}

function kernelFamily(family: AddressFamily): number {
  return family === 4 ? AF_INET : AF_INET6;
}

function address(bytes: Uint8Array | undefined): IpAddress | undefined {
  return bytes && new IpAddress(bytes);
}

function explain(errno: number, route: Route): SystemErrorOptions {
  const via = route.via === undefined ? "" : ` via ${route.via}`;
  const device = route.device === undefined ? "" : ` on interface ${route.device}`;
  const subject = `for ${route.destination}${via}${device}`;
  switch (errno) {
    case Errno.EEXIST:
      return { subject, remedy: "there is such a route already: remove it, or give this one another metric or table" };
    case Errno.ENETUNREACH:
    case Errno.EHOSTUNREACH:
      return { subject, remedy: "the gateway is not on a network of an interface that is up" };
    case Errno.ENETDOWN:
      return { subject, remedy: "set the interface up first" };
    case Errno.ENODEV:
      return { subject, remedy: "the interface is gone, or has no IPv6" };
    default:
      return { subject };
  }
}
