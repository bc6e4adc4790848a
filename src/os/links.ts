/** Network interfaces through rtnetlink: what `ip link` does. An interface is named by its index, which never changes. */
import { concatBytes } from "../base/bytes.ts";
import type { NetlinkSocket } from "./netlink.ts";
import {
  attribute,
  decodeAttributes,
  MessageFlag,
  type NetlinkMessage,
  readText,
  readU32,
  u32,
  viewOf,
} from "./netlink-message.ts";
import { Errno, SystemError, type SystemErrorOptions } from "./system-error.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

/** struct ifinfomsg. */
const LinkBody = { size: 16, index: 4, flags: 8, change: 12 } as const;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_RUNNING = 0x40;
const IFF_LOWER_UP = 0x1_0000;

const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly loopback: boolean;
  readonly mtu: number;
  /** The kind of virtual interface, such as `tun` or `veth`. */
  readonly kind: string | undefined;
}

export interface LinkChange {
  readonly name?: string;
  readonly up?: boolean;
  readonly mtu?: number;
  /** The descriptor of a network namespace to move the interface into, which takes it down and its addresses away. */
  readonly namespace?: number;
}

export interface VethPair {
  readonly name: string;
  readonly peerName: string;
  /** The descriptor of the network namespace that the other end is made in. */
  readonly peerNamespace?: number;
}

export class Links {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  list(): Link[] {
    const request = { type: RTM_GETLINK, name: "RTM_GETLINK", body: linkBody(0) };
    return this.#socket.dump(request).flatMap((message) => decodeLink(message) ?? []);
  }

  /** The interface of this name or index, if there is one. */
  find(which: string | number): Link | undefined {
    const body = typeof which === "number" ? linkBody(which) : concatBytes(linkBody(0), attribute(IFLA_IFNAME, which));
    try {
      const explain = { subject: `for ${which}` };
      return decodeLink(this.#socket.request({ type: RTM_GETLINK, name: "RTM_GETLINK", body, explain })[0]);
    } catch (error) {
      if (error instanceof SystemError && error.errno === Errno.ENODEV) return undefined;
      throw error;
    }
  }

  /**
   * Whether an interface has just found a carrier, such as the other end of its cable come up, and the kernel has not yet
   * acted on it. A work queue does that (net/core/link_watch.c), later where the machine is busy; till then what is sent is lost.
   */
  isStarting(index: number): boolean {
    const body = linkBody(index);
    const [link] = this.#socket.request({ type: RTM_GETLINK, name: "RTM_GETLINK", body });
    const flags = viewOf(link.body).getUint32(LinkBody.flags, true);
    return (flags & (IFF_LOWER_UP | IFF_RUNNING)) === IFF_LOWER_UP;
  }

  set(index: number, change: LinkChange): void {
    const flags = change.up === undefined ? undefined : change.up ? IFF_UP : 0;
    const attributes = [
      ...(change.name === undefined ? [] : [attribute(IFLA_IFNAME, change.name)]),
      ...(change.mtu === undefined ? [] : [attribute(IFLA_MTU, u32(change.mtu))]),
      ...(change.namespace === undefined ? [] : [attribute(IFLA_NET_NS_FD, u32(change.namespace))]),
    ];
    this.#socket.request({
      type: RTM_NEWLINK,
      name: "RTM_NEWLINK",
      body: concatBytes(linkBody(index, flags), ...attributes),
      explain: (errno) => explain(errno, `for ${JSON.stringify(change)} on interface ${index}`, change.name),
    });
  }

  /** Whether there was one to delete. */
  delete(index: number): boolean {
    try {
      const subject = `for interface ${index}`;
      const body = linkBody(index);
      this.#socket.request({ type: RTM_DELLINK, name: "RTM_DELLINK", body, explain: { subject } });
      return true;
    } catch (error) {
      if (error instanceof SystemError && error.errno === Errno.ENODEV) return false;
      throw error;
    }
  }

  /** Two Ethernet interfaces joined by a cable. Deleting either, or its namespace, deletes both. */
  createVeth(pair: VethPair): void {
    const peer = concatBytes(
      linkBody(0),
      attribute(IFLA_IFNAME, pair.peerName),
      ...(pair.peerNamespace === undefined ? [] : [attribute(IFLA_NET_NS_FD, u32(pair.peerNamespace))]),
    );
    const information = [
      attribute(IFLA_INFO_KIND, "veth"),
      attribute(IFLA_INFO_DATA, [attribute(VETH_INFO_PEER, peer)]),
    ];
    this.#socket.request({
      type: RTM_NEWLINK,
      name: "RTM_NEWLINK",
      flags: MessageFlag.create | MessageFlag.exclusive,
      body: concatBytes(linkBody(0), attribute(IFLA_IFNAME, pair.name), attribute(IFLA_LINKINFO, information)),
      explain: (errno) => explain(errno, `for the veth pair ${pair.name} and ${pair.peerName}`, pair.name),
    });
  }
}

/** Reads an RTM_NEWLINK or RTM_DELLINK; `undefined` for another message. */
export function decodeLink(message: NetlinkMessage | undefined): Link | undefined {
  if (message === undefined || (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK)) return undefined;
  const view = viewOf(message.body);
  const attributes = decodeAttributes(message.body, LinkBody.size);
  const information = attributes.get(IFLA_LINKINFO);
  const flags = view.getUint32(LinkBody.flags, true);
  return {
    index: view.getInt32(LinkBody.index, true),
    name: readText(attributes.get(IFLA_IFNAME)) ?? "",
    up: (flags & IFF_UP) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    mtu: readU32(attributes.get(IFLA_MTU)) ?? 0,
    kind: information && readText(decodeAttributes(information).get(IFLA_INFO_KIND)),
  };
}

/** `flags` says which state IFF_UP is to have; without it the state stays. */
function linkBody(index: number, flags?: number): Uint8Array {
  const body = new Uint8Array(LinkBody.size);
  const view = viewOf(body);
  view.setInt32(LinkBody.index, index, true);
  view.setUint32(LinkBody.flags, flags ?? 0, true);
  view.setUint32(LinkBody.change, flags === undefined ? 0 : IFF_UP, true);
  return body;
}

function explain(errno: number, subject: string, name: string | undefined): SystemErrorOptions {
  switch (errno) {
    case Errno.EEXIST:
      return { subject, code: "name-taken", remedy: `choose another name than ${name}, or delete that interface` };
    case Errno.ENODEV:
      return { subject, remedy: "the interface is gone" };
    case Errno.EOPNOTSUPP:
      return { subject, remedy: "this kernel lacks that kind of interface" };
    default:
      return { subject };
  }
}
